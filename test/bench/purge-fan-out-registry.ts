// The registry's side of purge-fan-out.ts, in a process of its own: a replica on a real etcd, with all nodes enrolled.
import { hostPrefix } from '#proto/model/address.ts';
import { transaction } from '#registry/decide/node.ts';
import { purgeRequest } from '#registry/decide/purge.ts';
import { enrolled, name, nodeId, nodeRecord } from '#test/support/registry-fixtures.ts';
import type { Member, Place } from './node.ts';
import { memberOf, ownAddress, startBenchRegistry } from './registry.ts';

export interface Ready extends Place {
  /** The first is that of the node which changes. */
  readonly nodes: readonly Member[];
}

const nodes = Number(process.argv[2]);
const { registry, stop } = await startBenchRegistry();
const { store } = registry.context;
const ready: Member[] = [];
for (let number = 1; number <= nodes; number++) {
  const record = nodeRecord(1, {
    id: nodeId(number),
    name: name(`node-${String(number)}`),
    address: ownAddress(number),
    address6: undefined,
  });
  await store.commit(transaction({ put: enrolled(record) }));
  ready.push(await memberOf(registry, number));
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
  void stop();
});
process.send?.({ address: registry.address, ca: registry.ca.certificate, nodes: ready } satisfies Ready);
