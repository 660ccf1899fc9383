// What one change of a binding costs a registry with many nodes, half a hundred of them hubs or spokes with a session here:
// node --import tsx test/bench/registry-changes.ts [NODES]
import { createLogger } from '#proto/kit/log.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { Events } from '#registry/serve/events.ts';
import { HoldingClock } from '#registry/serve/holding-clock.ts';
import { Sessions } from '#registry/serve/sessions.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import type { RegistryContext } from '#registry/serve/context.ts';
import {
  address,
  bindingRecord,
  enrolled,
  name,
  nodeId,
  nodeRecord,
  overlayRecord,
} from '#test/support/registry-fixtures.ts';

const nodes = Number(process.argv[2] ?? 10_000);
const changes = 50;

const store = createMemoryStore();
const overlay = overlayRecord({ pool6: undefined });
const records = Array.from({ length: nodes }, (_, index) => {
  const number = index + 1;
  const own = address(`10.99.${String(number >> 8)}.${String(number & 255)}`);
  return nodeRecord(1, {
    id: nodeId(number),
    name: name(`node-${String(number)}`),
    address: own,
    address6: undefined,
    role: number === 1 ? 'hub' : 'spoke',
  });
});
store.force({ put: [{ kind: 'overlay', record: overlay }] });
store.force({ put: records.flatMap((node, index) => enrolled(node, bindingRecord(index + 1))) });

const log = createLogger('bench', 'silent');
const parts = {
  store,
  clock: new HoldingClock(systemClock, store),
  log,
  events: new Events(systemClock, log),
  self: { id: 'one', address: '' },
};
const context = parts as Partial<RegistryContext> as RegistryContext;
const peers = { push: () => Promise.resolve(false), measure: () => Promise.resolve(undefined) };
const sessions = new Sessions(context, peers);
for (const node of records) {
  const pipe = { write: () => true, end: () => undefined };
  sessions.greet(sessions.start(node, pipe), 'bench', 'bench');
}
await new Promise((resolve) => setTimeout(resolve, 200));

const begun = performance.now();
for (let change = 0; change < changes; change++) {
  store.force({ put: [{ kind: 'binding', record: bindingRecord(2 + change, { mtu: 1000 + change }) }] });
  await new Promise((resolve) => setTimeout(resolve, 30));
}
const spent = process.cpuUsage().user / 1000;
const each = (performance.now() - begun) / changes - 30;
process.stdout.write(
  `${String(nodes)} sessions: ${each.toFixed(1)} ms a change, ${spent.toFixed(0)} ms of CPU in all\n`,
);
sessions.drain();
