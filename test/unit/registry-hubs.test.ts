// How spokes choose among hubs: what the registry keeps of it and tells.
import assert from 'node:assert/strict';
import test from 'node:test';
import { must } from '#proto/model/result.ts';
import { enrol, type EnrolmentRequest } from '#registry/decide/enrol.ts';
import { commonConfig, overlayConfig } from '#registry/decide/overlay-config.ts';
import { setHub } from '#registry/decide/set-hub.ts';
import { setOverlay } from '#registry/decide/set-overlay.ts';
import { decodeRecord, encodeRecord } from '#registry/store/record-codec.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  at,
  endpoint,
  enrolled,
  name,
  nodeId,
  nodeRecord,
  overlayRecord,
  tokenRecord,
} from '#test/support/registry-fixtures.ts';

function registry(): MemoryStore {
  const store = createMemoryStore();
  store.force({
    put: [
      { kind: 'overlay', record: overlayRecord() },
      { kind: 'token', record: tokenRecord({ id: 'hubs', role: 'hub', usesLeft: 9 }) },
      { kind: 'token', record: tokenRecord({ id: 'spokes', usesLeft: 9 }) },
      ...enrolled(nodeRecord(1, { role: 'hub' })),
      ...enrolled(nodeRecord(2)),
    ],
  });
  return store;
}

function request(parts: Partial<EnrolmentRequest>): EnrolmentRequest {
  return {
    tokenId: 'hubs',
    secretMatches: true,
    name: name('new'),
    role: undefined,
    prefixes: [],
    endpoints: [endpoint('192.0.2.9:51820')],
    address: undefined,
    priority: undefined,
    cluster: 0,
    ...parts,
  };
}

test('a hub joins with the priority and cluster that it asks for, or after the others', () => {
  const snapshot = registry().snapshot();
  const join = (parts: Partial<EnrolmentRequest>) => must(enrol(snapshot, request(parts), nodeId(9), at(1))).node;
  assert.deepEqual(
    [join({}), join({ priority: 0 }), join({ priority: 200, cluster: 3 })].map((hub) => [hub.priority, hub.cluster]),
    [
      [1, 0],
      [0, 0],
      [200, 3],
    ],
  );
});

test('a spoke has neither priority nor cluster', () => {
  const snapshot = registry().snapshot();
  for (const parts of [{ priority: 0 }, { cluster: 1 }]) {
    const refused = enrol(snapshot, request({ tokenId: 'spokes', ...parts }), nodeId(9), at(1));
    assert.equal(refused.ok ? '' : refused.fault.code, 'not-a-hub');
  }
});

test('priority and cluster change later, and every spoke is told', async () => {
  const store = registry();
  for (const [key, value] of [
    ['priority', '7'],
    ['cluster', '2'],
  ] as const) {
    const change = must(setHub(store.snapshot(), 'node-1', key, value));
    assert.ok(change.transaction && (await store.commit(change.transaction)).ok);
  }
  const snapshot = store.snapshot();
  const told = overlayConfig(commonConfig(snapshot, overlayRecord({ maxConnections: 2 })), nodeRecord(2));
  assert.deepEqual([told.hubs[0]?.priority, told.hubs[0]?.cluster], [7, 2]);
  assert.deepEqual([told.maxConnections, told.fallbackTime], [2, 30]);
  assert.equal(must(setHub(snapshot, 'node-1', 'cluster', '2')).transaction, undefined, 'nothing to write');
});

test('what is no setting of a hub is refused', () => {
  const snapshot = registry().snapshot();
  for (const [hub, key, value, code] of [
    ['node-9', 'priority', '1', 'node-unknown'],
    ['node-2', 'priority', '1', 'not-a-hub'],
    ['node-1', 'name', 'x', 'unknown-setting'],
    ['node-1', 'constructor', '1', 'unknown-setting'],
    ['node-1', 'priority', '256', 'bad-number'],
    ['node-1', 'priority', '-1', 'bad-number'],
    ['node-1', 'cluster', '', 'bad-number'],
  ] as const) {
    const outcome = setHub(snapshot, hub, key, value);
    assert.equal(outcome.ok ? '' : outcome.fault.code, code, `${hub} ${key} ${value}`);
  }
});

test('the settings of a living overlay', () => {
  const overlay = overlayRecord();
  assert.equal(must(setOverlay(overlay, 'maxConnections', '2')).maxConnections, 2);
  assert.equal(must(setOverlay(overlay, 'fallbackTimeSeconds', '0')).fallbackTime, 0);
  for (const [key, value] of [
    ['maxConnections', '256'],
    ['fallbackTimeSeconds', '65536'],
  ] as const) {
    assert.equal(setOverlay(overlay, key, value).ok, false);
  }
});

test('records from before there were clusters are read with the defaults', () => {
  const written = (put: Parameters<typeof encodeRecord>[0], fields: readonly string[]): string => {
    const stored = JSON.parse(encodeRecord(put, 'r')) as { record: Record<string, unknown> };
    for (const field of fields) Reflect.deleteProperty(stored.record, field);
    return JSON.stringify(stored);
  };
  const overlay = { kind: 'overlay', record: overlayRecord() } as const;
  const node = { kind: 'node', record: nodeRecord(1) } as const;
  assert.deepEqual(
    must(decodeRecord({ kind: 'overlay' }, written(overlay, ['maxConnections', 'fallbackTime']))),
    overlay,
  );
  assert.deepEqual(must(decodeRecord({ kind: 'node', id: nodeId(1) }, written(node, ['cluster']))), node);
});
