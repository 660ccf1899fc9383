// The store against a real etcd, and the one of the tests beside it: what they have in common, then what etcd does when it
// fails.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { StoreChange } from '#registry/store/port.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { until } from '#test/support/poll.ts';
import { nodeId } from '#test/support/registry-fixtures.ts';
import { enrol, etcdFor, failedWith, storeFor, succeeded, transaction, within } from './store-cases.ts';
import { storeSuite } from './store-suite.ts';

storeSuite('on etcd', async (t) => {
  const etcd = await etcdFor(t);
  return {
    open: (replica) => storeFor(t, etcd, replica),
    setAway: (away) => (away ? etcd.kill() : etcd.start()),
  };
});

storeSuite('in memory', () => {
  const memory = createMemoryStore();
  return {
    open: (id) => Promise.resolve(memory.replica({ id, address: `${id}.example:7443` })),
    setAway: (away) => {
      memory.setAway(away);
    },
  };
});

test('etcd killed: the snapshot stays, a commit fails in 3 s, and all comes back', async (t) => {
  const etcd = await etcdFor(t);
  const [a, b] = [await storeFor(t, etcd, 'a'), await storeFor(t, etcd, 'b')];
  for (let number = 1; number <= 20; number++) succeeded(await a.commit(enrol(number)));
  succeeded(await a.commit(transaction({ put: [{ kind: 'session', record: { node: nodeId(1), replica: 'a' } }] })));
  await etcd.kill();
  await until('a notices', () => !a.healthy(), { within });
  const begin = Date.now();
  failedWith(await a.commit(enrol(21)), 'unavailable', /etcd/);
  assert.ok(Date.now() - begin < 4000);
  assert.equal(a.snapshot().nodes.size, 20);
  await etcd.start();
  await until('both are healthy', () => a.healthy() && b.healthy(), { within });
  assert.equal(a.snapshot().nodes.size, 20);
  assert.equal(a.snapshot().sessions.size, 1);
  succeeded(await b.commit(enrol(22)));
  await until('a sees what b wrote', () => a.snapshot().nodes.has(nodeId(22)), { within });
});

test('nothing is lost when etcd dies again and again under writes', async (t) => {
  const etcd = await etcdFor(t);
  const [a, b] = [await storeFor(t, etcd, 'a'), await storeFor(t, etcd, 'b')];
  const acknowledged: number[] = [];
  const enough = new AbortController();
  const writing = (async () => {
    for (let number = 1; !enough.signal.aborted && number < 250; number++) {
      const result = await a.commit(enrol(number));
      if (result.ok) acknowledged.push(number);
      else assert.equal(result.fault.code, 'unavailable');
    }
  })();
  for (let round = 1; round <= 3; round++) {
    await until('writes go on', () => acknowledged.length >= round * 20, { within });
    await etcd.kill();
    await etcd.start();
  }
  enough.abort();
  await writing;
  succeeded(await a.commit(enrol(254)));
  await until('b has the last one', () => b.snapshot().nodes.has(nodeId(254)), { within });
  for (const number of acknowledged) {
    assert.ok(a.snapshot().nodes.has(nodeId(number)));
    assert.ok(b.snapshot().nodes.has(nodeId(number)));
  }
  assert.deepEqual([...a.snapshot().nodes.keys()].sort(), [...b.snapshot().nodes.keys()].sort());
});

test('wiped data: the mirror follows, and the replica announces itself again', async (t) => {
  const etcd = await etcdFor(t);
  const store = await storeFor(t, etcd, 'a');
  const changes: StoreChange[] = [];
  for (let number = 1; number <= 5; number++) succeeded(await store.commit(enrol(number)));
  store.onChange((batch) => changes.push(...batch));
  await etcd.wipe();
  await until('it notices', () => !store.healthy(), { within });
  assert.equal(store.snapshot().nodes.size, 5);
  await etcd.start();
  await until('it is healthy', () => store.healthy() && store.snapshot().nodes.size === 0, { within });
  await until('the replica is back', () => store.snapshot().replicas.has('a'), { within });
  assert.ok(changes.some((change) => change.kind === 'all'));
  assert.equal([...store.snapshot().routes.entries()].length, 0);
  succeeded(await store.commit(enrol(1)));
});
