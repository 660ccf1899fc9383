// What a change of one announced prefix costs a registry, its hub's and its spokes' sessions included, with few and many prefixes over
// 100 nodes: node --import tsx test/bench/routes.ts
import { setTimeout as pause } from 'node:timers/promises';
import { encodeRegistryMessage } from '#proto/codec/session.ts';
import { SessionResponse } from '#proto/gen/dmwg/v1/nhrp.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import type { Address } from '#proto/model/address.ts';
import type { RegistryMessage } from '#proto/model/session.ts';
import { register } from '#registry/decide/register.ts';
import { scopeOf } from '#registry/decide/scope.ts';
import type { RegistryContext } from '#registry/serve/context.ts';
import { Events } from '#registry/serve/events.ts';
import { HoldingClock } from '#registry/serve/holding-clock.ts';
import { Sessions } from '#registry/serve/sessions.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import {
  address,
  announcement,
  at,
  bindingRecord,
  enrolled,
  name,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
} from '#test/support/registry-fixtures.ts';

const nodes = 100;
const changes = 200;
const lookUps = 50_000;

/** The `index`-th prefix of a node: 10.NODE.INDEX.0/24. */
const prefixOf = (node: number, index: number): string => `10.${String(node)}.${String(index)}.0/24`;

async function measure(each: number): Promise<string> {
  const before = memory();
  const store = createMemoryStore();
  const overlay = overlayRecord({ pool: prefix('172.31.0.0/16'), pool6: undefined, phase: 2 });
  store.force({ put: [{ kind: 'overlay', record: overlay }] });
  const records = Array.from({ length: nodes }, (_, index) => {
    const own = prefix(`10.${String(index + 1)}.0.0/16`);
    const where = address(`172.31.0.${String(index + 1)}`);
    const parts = { id: nodeId(index + 1), name: name(`node-${String(index + 1)}`), address: where, prefixes: [own] };
    return nodeRecord(1, { ...parts, address6: undefined, role: index === 0 ? 'hub' : 'spoke' });
  });
  for (const [index, node] of records.entries()) {
    const prefixes = Array.from({ length: each }, (_, number) => prefix(prefixOf(index + 1, number)));
    store.force({ put: enrolled(node, bindingRecord(index + 1, { prefixes })) });
  }
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
  let octets = 0;
  let told = 0;
  const write = (message: RegistryMessage): boolean => {
    octets += SessionResponse.encode(encodeRegistryMessage(message)).finish().length;
    if (message.type === 'route-sync') told += message.upsert.length + message.remove.length;
    return true;
  };
  const begun = performance.now();
  for (const node of records) sessions.greet(sessions.start(node, { write, end: () => undefined }), 'bench', 'bench');
  const snapshot = performance.now() - begun;
  const [all, routes] = [octets, told];
  const held = memory() - before;
  [octets, told] = [0, 0];

  const [node] = records.slice(-1);
  if (!node) throw new Error('there are no nodes');
  const spent = process.cpuUsage();
  for (let change = 0; change < changes; change++) {
    const request = announcement(node.address, [prefixOf(nodes, 250)], { additive: true, preference: change % 200 });
    const { transaction } = register(store.snapshot(), node, request, { now: at(0), agentVersion: 'test' });
    if (transaction) store.force(transaction);
    while (told < (change + 1) * (nodes - 1)) await pause(1);
  }
  const { user, system } = process.cpuUsage(spent);
  const cost = (user + system) / 1000 / changes;

  const targets = Array.from(
    { length: 1000 },
    (_, index): Address => address(`10.${String((index % nodes) + 1)}.${String(index % each)}.9`),
  );
  const started = performance.now();
  for (let index = 0; index < lookUps; index++) {
    scopeOf(store.snapshot(), targets[index % targets.length] ?? node.address, { now: at(0), asker: node.id });
  }
  const lookUp = ((performance.now() - started) * 1000) / lookUps;
  sessions.drain();
  return (
    `${String(nodes * each).padStart(6)} prefixes: all nodes told ${String(routes)} routes in ${snapshot.toFixed(0)} ms ` +
    `(${(all / 1e6).toFixed(1)} MB); one change: ${cost.toFixed(2)} ms of CPU, ${(octets / changes).toFixed(0)} octets to ` +
    `${String(nodes)} sessions; look-up ${lookUp.toFixed(1)} us; ${(held / 1e6).toFixed(1)} MB\n`
  );
}

function memory(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

process.stdout.write(await measure(10));
process.stdout.write(await measure(100));
process.exit(0);
