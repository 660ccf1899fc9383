import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeRegistryMessage, encodeRegistryMessage } from '#proto/codec/session.ts';
import { must } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';
import { claimSessions, type OpenSession } from '#registry/decide/claim-sessions.ts';
import { expired, forgettable, lose, revive, sweeps, unheld } from '#registry/decide/expire.ts';
import { announcedBy, remaining } from '#registry/decide/node.ts';
import { commonConfig, overlayConfig } from '#registry/decide/overlay-config.ts';
import { purgeByNode } from '#registry/decide/purge.ts';
import type { Put } from '#registry/decide/state.ts';
import { setOverlay } from '#registry/decide/set-overlay.ts';
import { bindingRows, nodeRows } from '#registry/decide/visible.ts';
import { routeRows } from '#registry/decide/visible-routes.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  address,
  at,
  bindingRecord,
  cie,
  endpoint,
  enrolled,
  message,
  multipoint,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
  revocationRecord,
} from '#test/support/registry-fixtures.ts';

const one = nodeRecord(1, { prefixes: [prefix('10.1.0.0/16')] });
const hub = nodeRecord(8, { role: 'hub' });

function storeOf(...put: Put[]): MemoryStore {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }, ...put] });
  return store;
}

const replica = (id: string): Put => ({ kind: 'replica', record: { id, address: 'registry.example:7443' } });
const session = (number: number, id: string): Put => ({
  kind: 'session',
  record: { node: nodeId(number), replica: id },
});

test('the holding time is whole while a session is open, and runs from its loss', () => {
  const binding = bindingRecord(1, { holdingTime: seconds(100) });
  assert.equal(remaining(binding, at(1_000_000)), 100);
  assert.equal(remaining({ ...binding, lostAt: at(1_000_000) }, at(1_030_500)), 70);
  assert.equal(remaining({ ...binding, lostAt: at(1_000_000) }, at(1_100_000)), 0);
});

test('a binding without a live session is lost, expires with its claims, and can be revived before', async () => {
  const store = storeOf(
    replica('r'),
    session(1, 'gone'),
    ...enrolled(one, bindingRecord(1, { holdingTime: seconds(10) })),
  );
  assert.deepEqual(unheld(store.snapshot()), [one.id]);
  const loss = lose(store.snapshot(), one.id, at(5000));
  assert.ok(loss && (await store.commit(loss)).ok);
  assert.equal(lose(store.snapshot(), one.id, at(6000)), undefined);
  assert.deepEqual(expired(store.snapshot(), at(14_999)), []);

  const back = revive(store.snapshot(), one.id, 'newer');
  assert.ok(back && (await store.commit(back)).ok);
  assert.equal(store.snapshot().bindings.get(one.id)?.lostAt, undefined);
  assert.equal(revive(store.snapshot(), one.id, 'newer'), undefined);

  const again = lose(store.snapshot(), one.id, at(5000));
  assert.ok(again && (await store.commit(again)).ok);
  for (const { transaction } of expired(store.snapshot(), at(15_000))) assert.ok((await store.commit(transaction)).ok);
  assert.equal(store.snapshot().bindings.size, 0);
  assert.ok(!store.keys().some((key) => key.startsWith('claims/key/')));
});

test('a hub keeps its binding after its time: its spokes need its key', () => {
  const store = storeOf(...enrolled(hub, bindingRecord(8, { lostAt: at(0) })));
  assert.deepEqual(expired(store.snapshot(), at(1e12)), []);
  assert.equal(nodeRows(store.snapshot(), at(1e12))[0]?.registered, false);
});

test('a revocation is kept longer than any certificate of its node is valid', async () => {
  const day = 86_400;
  const revocations = Array.from(
    { length: 120 },
    (_, index): Put => ({ kind: 'revocation', record: revocationRecord(index + 1) }),
  );
  const young: Put = { kind: 'revocation', record: revocationRecord(200, { at: at(1) }) };
  const store = storeOf(...revocations, young);
  const later = at(100 * day * 1000);
  assert.deepEqual(forgettable(store.snapshot(), later, seconds(90 * day)), []);
  for (const transaction of forgettable(store.snapshot(), at(later + 1), seconds(90 * day))) {
    assert.ok(transaction.delete.length < 64);
    assert.ok((await store.commit(transaction)).ok);
  }
  assert.deepEqual([...store.snapshot().revoked.keys()], [nodeId(200)]);
});

test('the replica with the lowest id sweeps', () => {
  const store = storeOf(replica('b'), replica('c'));
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => sweeps(store.snapshot(), id)),
    [true, true, false],
  );
});

const self = { id: 'me', address: 'registry.example:7443' };
const open = (...sessions: OpenSession[]) => new Map(sessions.map((each) => [each.node, each]));

test('session records follow the sessions: new ones are written, ended ones go, taken ones are given up', async () => {
  const store = storeOf(replica('me'), session(1, 'other'), session(2, 'other'), session(3, 'me'));
  const claims = claimSessions(
    store.snapshot(),
    self,
    open(
      { node: nodeId(1), recorded: false },
      { node: nodeId(2), recorded: true },
      { node: nodeId(4), recorded: true },
    ),
  );
  assert.deepEqual(claims.replaced, [nodeId(2)]);
  assert.deepEqual(
    claims.transactions.flatMap((each) => each.recording),
    [nodeId(1), nodeId(4)],
  );
  for (const { transaction } of claims.transactions) assert.ok((await store.commit(transaction)).ok);
  assert.deepEqual(
    Object.fromEntries([...store.snapshot().sessions.values()].map((each) => [each.node, each.replica])),
    {
      [nodeId(1)]: 'me',
      [nodeId(2)]: 'other',
      [nodeId(4)]: 'me',
    },
  );
});

test('a replica whose record is gone writes it again', () => {
  const claims = claimSessions(storeOf().snapshot(), self, open());
  assert.deepEqual(claims.transactions[0]?.transaction.put, [{ kind: 'replica', record: self }]);
});

test('a node withdraws a class of its prefixes, or all of itself, and nothing of others', async () => {
  const store = storeOf(
    ...enrolled(one, bindingRecord(1, { prefixes: [prefix('10.1.0.0/24'), prefix('10.1.1.0/24')] })),
    ...enrolled(hub, bindingRecord(8)),
  );
  const ask = async (network: string, length: number): Promise<string> => {
    const cies = [cie({ protocolAddress: address(network), prefixLength: length })];
    const request = message('10.99.0.1', '10.99.0.1', { type: 'purge-request', noReply: false, cies });
    const { reply, transaction } = purgeByNode(store.snapshot(), one, request);
    if (transaction) assert.ok((await store.commit(transaction)).ok);
    return reply?.body.type ?? '';
  };
  assert.equal(await ask('10.99.0.8', 0xff), 'purge-reply');
  assert.ok(store.snapshot().bindings.has(hub.id));
  await ask('10.1.1.0', 24);
  assert.deepEqual(announcedBy(store.snapshot().bindings.get(one.id)), ['10.1.0.0/24']);
  await ask('10.99.0.1', 0xff);
  assert.ok(!store.snapshot().bindings.has(one.id));
});

test('rows for operators', () => {
  const binding = bindingRecord(1, {
    interfaces: [multipoint('node-1', ['192.168.1.2:1'])],
    prefixes: [prefix('10.1.0.0/24')],
    observed: [{ publicKey: multipoint('node-1').publicKey, endpoint: endpoint('198.51.100.1:2'), hub: hub.id }],
  });
  const store = storeOf(replica('me'), session(1, 'me'), ...enrolled(one, binding), ...enrolled(hub));
  const nodes = nodeRows(store.snapshot(), at(0));
  assert.deepEqual(
    nodes.map((row) => [row.name, row.registered, row.connected, row.nat]),
    [
      ['node-8', false, false, false],
      ['node-1', true, true, true],
    ],
  );
  assert.deepEqual(nodes[1]?.endpoints, [
    { address: '192.168.1.2:1', kind: 'claimed' },
    { address: '198.51.100.1:2', kind: 'observed' },
  ]);
  const rows = bindingRows(store.snapshot(), at(0));
  assert.deepEqual(
    rows.map((row) => [row.prefix, row.flags]),
    [
      ['10.99.0.1/32', ['unique', 'registered', 'nat', 'used']],
      ['fd99::1/128', ['unique', 'registered', 'nat', 'used']],
      ['10.1.0.0/24', ['registered', 'nat', 'used']],
    ],
  );
  assert.deepEqual(
    routeRows(store.snapshot(), at(0)).map((row) => [row.prefix, row.active]),
    [
      ['10.1.0.0/24', true],
      ['10.99.0.1/32', true],
      ['fd99::1/128', true],
    ],
  );
});

test('the least and the most of every setting is something that a node can read', () => {
  const node = nodeRecord(1);
  const limits: Readonly<Record<string, readonly [string, string]>> = {
    phase: ['1', '3'],
    summaries: ['', Array.from({ length: 1024 }, (_, index) => `2001:db8:${index.toString(16)}::/48`).join(', ')],
    holdingTimeSeconds: ['1', '65535'],
    negativeHoldingTimeSeconds: ['1', '65535'],
    idleTimeoutSeconds: ['1', '4294967295'],
    bfdIntervalMs: ['10', '60000'],
    bfdMultiplier: ['1', '255'],
    mtu: ['1280', '65535'],
    maxConnections: ['0', '255'],
    prefixLimit: ['1', '4096'],
    fallbackTimeSeconds: ['0', '65535'],
  };
  const unknown = setOverlay(overlayRecord(), '', '');
  for (const [key, values] of Object.entries(limits)) {
    assert.ok(!unknown.ok && unknown.fault.message.includes(key));
    for (const value of values) {
      const overlay = must(setOverlay(overlayRecord(), key, value));
      const config = overlayConfig(commonConfig(storeOf().snapshot(), overlay), node);
      const message = { type: 'overlay-config', config } as const;
      assert.deepEqual(must(decodeRegistryMessage(encodeRegistryMessage(message))), message, `${key} = ${value}`);
    }
  }
  const settings = (unknown.ok ? '' : unknown.fault.message).split(': use ')[1];
  assert.deepEqual(settings?.split(', '), Object.keys(limits));
});

test('settings of a living overlay: what may change, and to what', () => {
  const overlay = overlayRecord();
  const cases = [
    ['phase', '1', undefined],
    ['phase', '4', 'bad-phase'],
    ['summaries', '10.0.0.0/8, 10.2.0.0/16', undefined],
    ['summaries', '', undefined],
    ['summaries', '10.0.0.1/8', 'host-bits'],
    ['mtu', '1279', 'bad-number'],
    ['mtu', '12', 'bad-number'],
    ['holdingTimeSeconds', '60s', 'bad-number'],
    ['pool', '10.0.0.0/8', 'unknown-setting'],
    ['constructor', '1', 'unknown-setting'],
  ] as const;
  for (const [key, value, code] of cases) {
    const outcome = setOverlay(overlay, key, value);
    assert.equal(outcome.ok ? undefined : outcome.fault.code, code, `${key} = ${value}`);
  }
});
