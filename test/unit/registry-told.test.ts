// What nodes were told, and when they must forget it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { clear } from '#registry/decide/clear.ts';
import { forgettable } from '#registry/decide/expire.ts';
import type { Put } from '#registry/decide/state.ts';
import { isStale, toldNow } from '#registry/decide/told.ts';
import { seconds } from '#proto/model/time.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  address,
  at,
  bindingRecord,
  enrolled,
  multipoint,
  nodeRecord,
  overlayRecord,
  prefix,
} from '#test/support/registry-fixtures.ts';

const view = { now: at(0) };
const one = nodeRecord(1, { prefixes: [prefix('10.1.0.0/16')] });
const binding = bindingRecord(1, { prefixes: [prefix('10.1.0.0/16')] });

function storeOf(...put: Put[]): MemoryStore {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord({ holdingTime: seconds(100) }) }, ...put] });
  return store;
}

test('what was told is stale when its binding goes or changes, another node takes a part of it or nobody is told any more, not when it roams', () => {
  const store = storeOf(...enrolled(one, binding));
  const told = toldNow(store.snapshot(), prefix('10.1.0.0/16'), one.id, view);
  assert.ok(told);
  const staleIn = (changed: MemoryStore): boolean => {
    const snapshot = changed.snapshot();
    return isStale(snapshot, told, toldNow(snapshot, told.prefix, told.about, view));
  };
  const stale = (...put: Put[]): boolean => staleIn(storeOf(...enrolled(one, binding), ...put));
  const roamed = { ...binding, interfaces: [multipoint('node-1', ['192.0.2.9:9'])] };
  assert.equal(stale(), false);
  assert.equal(stale({ kind: 'binding', record: roamed }), false);
  assert.equal(stale({ kind: 'overlay', record: overlayRecord({ phase: 2 }) }), false);
  assert.equal(stale({ kind: 'overlay', record: overlayRecord({ phase: 1 }) }), true);
  assert.equal(stale({ kind: 'binding', record: { ...binding, interfaces: [multipoint('new')] } }), true);
  assert.equal(stale({ kind: 'binding', record: { ...binding, announcements: [] } }), true);
  assert.equal(stale(...enrolled(nodeRecord(2), bindingRecord(2, { prefixes: [prefix('10.1.7.0/24')] }))), true);
  assert.equal(staleIn(storeOf()), true);
});

test('an order to forget concerns what was told before it, and goes when that is over', async () => {
  const store = storeOf(...enrolled(one, binding), ...enrolled(nodeRecord(2), bindingRecord(2)));
  const told = toldNow(store.snapshot(), prefix('10.1.0.0/16'), one.id, view);
  const other = toldNow(store.snapshot(), prefix('10.99.0.2/32'), nodeRecord(2).id, view);
  assert.ok(told && other);
  const order = clear(store.snapshot(), address('10.1.2.3'), { id: 'x', now: at(5000) });
  assert.equal(order.cleared, 3);
  assert.ok(order.transaction && (await store.commit(order.transaction)).ok);
  const snapshot = store.snapshot();
  assert.equal(isStale(snapshot, told, told), true);
  assert.equal(isStale(snapshot, other, other), false);
  const again = toldNow(snapshot, told.prefix, told.about, view);
  assert.ok(again && !isStale(snapshot, again, again), 'what is told afterwards stays');
  assert.deepEqual(forgettable(snapshot, at(105_000), seconds(1)), []);
  const [gone] = forgettable(snapshot, at(105_001), seconds(1));
  assert.ok(gone && (await store.commit(gone)).ok);
  assert.equal(store.snapshot().clears.size, 0);
  assert.deepEqual(clear(snapshot, address('192.0.2.1'), { id: 'y', now: at(0) }), {
    cleared: 0,
    transaction: undefined,
  });
});

test('many orders become one to forget everything', async () => {
  const store = storeOf(...enrolled(one, binding));
  for (let number = 0; number <= 32; number++) {
    const { transaction } = clear(store.snapshot(), one.address, { id: String(number), now: at(0) });
    assert.ok(transaction && (await store.commit(transaction)).ok);
  }
  const [record, ...more] = store.snapshot().clears.values();
  assert.deepEqual(more, []);
  assert.deepEqual(record?.classes, ['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1']);
});
