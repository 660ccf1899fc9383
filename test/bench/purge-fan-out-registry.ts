// The registry's side of purge-fan-out.ts, in a process of its own: a replica on a real etcd, with all nodes enrolled.
import type { TestContext } from 'node:test';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import { transaction } from '#registry/decide/node.ts';
import { purgeRequest } from '#registry/decide/purge.ts';
import { openStore } from '#registry/store/store.ts';
import { startTestEtcd } from '#test/support/etcd.ts';
import { issue } from '#test/support/pki.ts';
import { address, enrolled, name, nodeId, nodeRecord, overlayRecord } from '#test/support/registry-fixtures.ts';
import type { Member, Place } from './node.ts';
import { hostPrefix } from '#proto/model/address.ts';
import { overlayName, registryFor } from '#test/support/registry-host.ts';

export interface Ready extends Place {
  /** The first is that of the node which changes. */
  readonly nodes: readonly Member[];
}

const nodes = Number(process.argv[2]);
const undo: (() => unknown)[] = [];
const context = { after: (step: () => unknown) => undo.push(step) } as unknown as TestContext;

const etcd = await startTestEtcd();
undo.push(() => etcd.close());
const logger = createLogger('bench', 'silent');
const registry = await registryFor(context, {
  store: (self) =>
    openStore({ endpoints: [etcd.endpoint], overlay: overlayName, replica: self, logger, clock: systemClock }),
});
const { store } = registry.context;
await store.commit(transaction({ put: [{ kind: 'overlay', record: overlayRecord({ pool6: undefined }) }] }));
const ready: Member[] = [];
for (let number = 1; number <= nodes; number++) {
  const own = address(`10.99.${String(number >> 8)}.${String(number & 255)}`);
  const id = nodeId(number);
  const record = nodeRecord(1, { id, name: name(`node-${String(number)}`), address: own, address6: undefined });
  await store.commit(transaction({ put: enrolled(record) }));
  const { certificate, key } = await issue(registry.ca, { kind: 'node', overlay: overlayName, id });
  ready.push({ address: own, certificate, key: key.reveal() });
}

/** What a purge sends, to the same sessions, and nothing of what leads to it. */
function writeBare(): void {
  const { nodes: records } = store.snapshot();
  let requestId = 0x8000_0000;
  const about = records.get(nodeId(1));
  if (!about) return;
  for (const session of registry.serving.sessions.open.values()) {
    const to = records.get(session.node);
    if (to && to !== about) session.sendNhrp(purgeRequest(to, [hostPrefix(about.address)], requestId++, undefined));
  }
}

process.on('message', (order: 'write' | 'stop') => {
  if (order === 'write') {
    writeBare();
    return;
  }
  void (async () => {
    for (const step of undo.reverse()) await step();
    process.exit(0);
  })();
});
process.send?.({ address: registry.address, ca: registry.ca.certificate, nodes: ready } satisfies Ready);
