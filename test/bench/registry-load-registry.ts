// The registry's side of registry-load.ts, in a process of its own: a replica on a real etcd, with thousands of nodes registered.
import type { Timestamp } from '#proto/model/time.ts';
import { transaction } from '#registry/decide/node.ts';
import {
  bindingRecord,
  enrolled,
  multipoint,
  name,
  nodeId,
  nodeRecord,
  prefix,
} from '#test/support/registry-fixtures.ts';
import type { Member, Place } from './node.ts';
import { memberOf, ownAddress, startBenchRegistry } from './registry.ts';

/** Nodes, and those of them that will have a session. */
export interface Ready extends Place {
  readonly members: readonly Member[];
  /** Octets of heap that a node without a session takes. */
  readonly octetsPerNode: number;
  readonly destinations: readonly string[];
}

export type Order = 'usage' | 'pause etcd' | 'resume etcd' | 'stop';

/** Since the last one. */
export interface Usage {
  readonly cpuMs: number;
  readonly heap: number;
}

const [nodes = 0, sessions = 0] = process.argv.slice(2).map(Number);
const { registry, etcd, stop } = await startBenchRegistry();
const { store } = registry.context;

const heap = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};
/** Every third one has a /28, every seventh a /20 that has others' networks inside it. */
const networks = (number: number): string[] => {
  const found =
    number % 3 === 0
      ? [`172.${String(16 + (number >> 12))}.${String((number >> 4) & 255)}.${String((number & 15) << 4)}/28`]
      : [];
  return number % 7 === 0 && number < 4096
    ? [...found, `192.${String(number >> 4)}.${String((number & 15) << 4)}.0/20`]
    : found;
};
const now = Date.now() as Timestamp;
const before = heap();
const perTransaction = 15;
for (let start = 1; start <= nodes; start += perTransaction) {
  const put = [];
  for (let number = start; number < Math.min(start + perTransaction, nodes + 1); number++) {
    const prefixes = networks(number).map(prefix);
    const record = nodeRecord(1, {
      id: nodeId(number),
      name: name(`node-${String(number)}`),
      address: ownAddress(number),
      address6: undefined,
      prefixes,
    });
    const interfaces = [
      multipoint(`key ${String(number)}`, [`192.0.2.${String(number & 127)}:${String(2000 + number)}`]),
    ];
    put.push(
      ...enrolled(record, bindingRecord(number, { prefixes, interfaces, lostAt: number > sessions ? now : undefined })),
    );
  }
  const stored = await store.commit(transaction({ put }));
  if (!stored.ok) throw new Error(stored.fault.message);
}
const octetsPerNode = (heap() - before) / nodes;

const members: Member[] = [];
for (let number = 1; number <= sessions; number++) members.push(await memberOf(registry, number));
const destinations: string[] = [];
for (let number = 1; number <= nodes; number++) {
  destinations.push(ownAddress(number));
  for (const network of networks(number))
    destinations.push(network.replace(/\d+\/\d+$/, (end) => String(Number(end.split('/')[0]) + 1)));
}

let last = process.cpuUsage();
process.on('message', (order: Order) => {
  if (order === 'pause etcd') etcd.pause();
  if (order === 'resume etcd') etcd.resume();
  if (order === 'usage') {
    const { user, system } = process.cpuUsage(last);
    last = process.cpuUsage();
    process.send?.({ cpuMs: (user + system) / 1000, heap: heap() } satisfies Usage);
  }
  if (order === 'stop') void stop();
});
const ready: Ready = { address: registry.address, ca: registry.ca.certificate, members, octetsPerNode, destinations };
process.send?.(ready);
