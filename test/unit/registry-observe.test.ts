// What hubs say (observed endpoints, traffic indications), and what hubs and nodes are told of others.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { NodeId } from '#proto/model/names.ts';
import { errorCode, type NhrpMessage, type TrafficIndication } from '#proto/model/nhrp.ts';
import { indicate } from '#registry/decide/indicate.ts';
import { observe } from '#registry/decide/observe.ts';
import { commonConfig, overlayConfig } from '#registry/decide/overlay-config.ts';
import { peerDelta, peersOf } from '#registry/decide/peers.ts';
import { relayed, serverOf } from '#registry/decide/transit.ts';
import { keyOf } from '#registry/store/keys.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  at,
  bindingRecord,
  endpoint,
  enrolled,
  hubTunnel,
  message,
  multipoint,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
  publicKey,
  revocationRecord,
} from '#test/support/registry-fixtures.ts';

const hub = nodeRecord(8, { role: 'hub', endpoints: [endpoint('203.0.113.8:51820')] });
const otherHub = nodeRecord(9, { role: 'hub', priority: 1, prefixes: [prefix('10.9.0.0/24')] });
const one = nodeRecord(1);
const two = nodeRecord(2, { prefixes: [prefix('10.2.0.0/24')] });

function storeOf(overlay = overlayRecord()): MemoryStore {
  const store = createMemoryStore();
  const spoke = bindingRecord(1, { interfaces: [multipoint('node-1'), hubTunnel('to-8', 8), hubTunnel('to-9', 9)] });
  store.force({
    put: [
      { kind: 'overlay', record: overlay },
      ...enrolled(hub, bindingRecord(8)),
      ...enrolled(otherHub, bindingRecord(9, { prefixes: otherHub.prefixes })),
      ...enrolled(one, spoke),
      ...enrolled(two, bindingRecord(2, { prefixes: two.prefixes })),
    ],
  });
  return store;
}

const seen = (key: string, text: string) => ({ publicKey: publicKey(key), endpoint: endpoint(text) });

test('every hub is told of the probes of a spoke, and not of its tunnels to other hubs', () => {
  const probe = { ...multipoint('probe'), kind: 'probe' as const };
  const store = createMemoryStore();
  const spoke = bindingRecord(1, { interfaces: [multipoint('node-1'), hubTunnel('to-other', 9), probe] });
  store.force({
    put: [{ kind: 'overlay', record: overlayRecord() }, ...enrolled(hub), ...enrolled(nodeRecord(1), spoke)],
  });
  const told = peersOf(store.snapshot(), hub, at(0)).get(nodeId(1));
  assert.deepEqual(
    told?.interfaces.map(({ kind }) => kind),
    ['multipoint', 'probe'],
  );
});

test('a hub says where it sees multipoint interfaces and the tunnels to itself; the same again is no news', async () => {
  const store = storeOf();
  const report = [seen('node-1', '198.51.100.1:1'), seen('to-8', '198.51.100.1:2'), seen('to-9', '198.51.100.1:3')];
  const transactions = observe(store.snapshot(), hub, [
    ...report,
    seen('unknown', '198.51.100.1:4'),
    seen('node-8', '198.51.100.1:5'),
  ]);
  assert.equal(transactions.length, 1);
  for (const transaction of transactions) assert.ok((await store.commit(transaction)).ok);
  const { observed } = store.snapshot().bindings.get(one.id) ?? {};
  assert.deepEqual(
    observed?.map((each) => each.endpoint),
    ['198.51.100.1:2', '198.51.100.1:1'],
  );
  assert.deepEqual(observe(store.snapshot(), hub, report), []);
  assert.deepEqual(observe(store.snapshot(), two, [seen('node-1', '192.0.2.66:1')]), [], 'a spoke may not say');
});

test('a hub that sees another endpoint replaces its own report, not that of another hub', async () => {
  const store = storeOf();
  for (const [who, text] of [
    [hub, '198.51.100.1:1'],
    [otherHub, '198.51.100.1:2'],
    [hub, '198.51.100.1:3'],
  ] as const) {
    for (const transaction of observe(store.snapshot(), who, [seen('node-1', text)])) await store.commit(transaction);
  }
  const { observed } = store.snapshot().bindings.get(one.id) ?? {};
  assert.deepEqual(
    observed?.map((each) => [each.hub, each.endpoint]),
    [
      [hub.id, '198.51.100.1:3'],
      [otherHub.id, '198.51.100.1:2'],
    ],
  );
});

const packet = (source: string, destination: string): NhrpMessage<TrafficIndication> =>
  message(source, destination, { type: 'traffic-indication', contents: new Uint8Array() });

test('an indication goes to the spoke that sent the packet', () => {
  const found = indicate(storeOf().snapshot(), hub, packet('10.99.0.1', '10.2.0.7'), { now: at(0) });
  assert.ok(typeof found === 'object');
  assert.equal(found.to, one.id);
  assert.equal(found.about, two.id);
  assert.equal(found.message.hopCount, 15);
});

test('an indication of who is no hub, or that may not go on, is an error', () => {
  const { server, snapshot } = {
    server: serverOf(overlayRecord(), { id: 'replica-1' }),
    snapshot: storeOf().snapshot(),
  };
  const said = packet('10.99.0.1', '10.2.0.7');
  assert.equal(indicate(snapshot, two, said, { now: at(0) }), errorCode.protocolError);
  assert.equal(indicate(snapshot, hub, { ...said, hopCount: 0 }, { now: at(0) }), errorCode.hopCountExceeded);
  const record = { type: 4, compulsory: true, value: new Uint8Array() };
  const passed = relayed({ ...said, extensions: [record] }, server);
  assert.ok(typeof passed === 'object');
  assert.equal(indicate(snapshot, hub, passed, { now: at(0), server }), errorCode.loop);
});

const ignored: readonly (readonly [string, ReturnType<typeof indicate>])[] = [
  [
    'in phase 1',
    indicate(storeOf(overlayRecord({ phase: 1 })).snapshot(), hub, packet('10.99.0.1', '10.2.0.7'), { now: at(0) }),
  ],
  ['to multicast', indicate(storeOf().snapshot(), hub, packet('10.99.0.1', '239.1.1.1'), { now: at(0) })],
  ['from an unknown source', indicate(storeOf().snapshot(), hub, packet('192.0.2.1', '10.2.0.7'), { now: at(0) })],
  ['to an unknown destination', indicate(storeOf().snapshot(), hub, packet('10.99.0.1', '192.0.2.1'), { now: at(0) })],
  ['within one node', indicate(storeOf().snapshot(), hub, packet('10.99.0.2', '10.2.0.7'), { now: at(0) })],
  ['to the hub itself', indicate(storeOf().snapshot(), hub, packet('10.99.0.1', '10.99.0.8'), { now: at(0) })],
  ['from another hub', indicate(storeOf().snapshot(), hub, packet('10.99.0.9', '10.2.0.7'), { now: at(0) })],
];

for (const [what, outcome] of ignored) {
  test(`an indication ${what} is dropped`, () => {
    assert.equal(outcome, undefined);
  });
}

test('a hub knows the spokes with the interfaces that meet it, and learns what changes', () => {
  const store = storeOf();
  const before = peersOf(store.snapshot(), hub, at(0));
  assert.deepEqual([...before.keys()], [one.id, two.id]);
  assert.deepEqual(
    before.get(one.id)?.interfaces.map((each) => each.publicKey),
    [publicKey('node-1'), publicKey('to-8')],
  );
  const changed = bindingRecord(2, { interfaces: [multipoint('other')] });
  store.force({ put: [{ kind: 'binding', record: changed }], delete: [{ kind: 'binding', id: one.id }] });
  const delta = peerDelta(before, store.snapshot(), hub, at(0), [one.id, two.id]);
  assert.deepEqual(delta.remove, [one.id]);
  assert.deepEqual(
    delta.upsert.map((peer) => [peer.node, peer.interfaces]),
    [[two.id, [multipoint('other')]]],
  );
});

test('a hub keeps a spoke that is missing without a revocation, until another node has its place', () => {
  const store = storeOf();
  const known = peersOf(store.snapshot(), hub, at(0));
  const removed = (): readonly NodeId[] => peerDelta(known, store.snapshot(), hub, at(0), [one.id, two.id]).remove;
  const lost = enrolled(one, bindingRecord(1)).map(keyOf);
  store.force({ delete: lost });
  assert.deepEqual(removed(), []);
  store.force({ put: enrolled(nodeRecord(3, { address: one.address, address6: undefined })) });
  assert.deepEqual(removed(), [one.id]);
  store.force({ delete: enrolled(nodeRecord(3, { address: one.address })).map(keyOf) });
  store.force({ put: [{ kind: 'revocation', record: revocationRecord(1) }] });
  assert.deepEqual(removed(), [one.id]);
});

test('a node gets pools and configured summaries, without its own; hubs by priority', () => {
  const overlay = overlayRecord({ summaries: [prefix('10.2.0.0/16')] });
  const store = storeOf(overlay);
  const common = commonConfig(store.snapshot(), overlay);
  const config = overlayConfig(common, one);
  assert.deepEqual(config.summaries, ['10.2.0.0/16', '10.99.0.0/16', 'fd99::/64']);
  assert.deepEqual(
    config.hubs.map((each) => each.node),
    [hub.id, otherHub.id],
  );
  const own = overlayConfig(common, otherHub);
  assert.deepEqual(own.summaries, ['10.2.0.0/16', '10.99.0.0/16', 'fd99::/64']);
  assert.deepEqual(
    own.hubs.map((each) => each.node),
    [nodeId(8)],
  );
});
