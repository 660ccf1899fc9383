// The store against a real etcd: transactions, two replicas, and what etcd does when it fails.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Key, StoreChange, Transaction } from '#registry/store/port.ts';
import { until } from '#test/support/poll.ts';
import { name, nodeId, nodeRecord, overlayRecord, prefix } from '#test/support/registry-fixtures.ts';
import { enrol, etcdFor, failedWith, storeFor, succeeded, transaction, within } from './store-cases.ts';

test('a commit is in the snapshot when it resolves, and in the other replica soon', async (t) => {
  const etcd = await etcdFor(t);
  const [a, b] = [await storeFor(t, etcd, 'a'), await storeFor(t, etcd, 'b')];
  const batches: (readonly StoreChange[])[] = [];
  b.onChange((changes) => {
    assert.ok(b.snapshot().nodes.has(nodeId(1)));
    batches.push(changes);
  });
  succeeded(await a.commit(transaction({ put: [{ kind: 'overlay', record: overlayRecord() }, ...enrol(1).put] })));
  assert.deepEqual(a.snapshot().nodes.get(nodeId(1)), nodeRecord(1, { prefixes: [prefix('10.1.0.0/16')] }));
  assert.deepEqual(a.snapshot().overlay, overlayRecord());
  assert.equal(a.snapshot().nodeByName.get(name('node-1')), nodeId(1));
  await until('the other replica sees it', () => b.snapshot().nodes.has(nodeId(1)), { within });
  assert.equal(batches.length, 1);
  assert.deepEqual([...b.snapshot().routes.entries()].sort(), [...a.snapshot().routes.entries()].sort());
  assert.deepEqual([...b.snapshot().replicas.keys()].sort(), ['a', 'b']);
  assert.ok(a.healthy() && b.healthy());
});

test('of two replicas that claim the same, one wins and the other learns what was taken', async (t) => {
  const etcd = await etcdFor(t);
  const [a, b] = [await storeFor(t, etcd, 'a'), await storeFor(t, etcd, 'b')];
  const node = nodeRecord(1);
  const claim = (number: number): Transaction =>
    transaction({
      absent: [{ kind: 'claim-address', address: node.address }],
      put: [{ kind: 'claim-address', address: node.address, node: nodeId(number) }],
    });
  const results = await Promise.all([a.commit(claim(1)), b.commit(claim(2))]);
  assert.equal(results.filter((result) => result.ok).length, 1);
  const loser = results.find((result) => !result.ok);
  assert.ok(loser);
  failedWith(loser, 'conflict', /address 10\.99\.0\.1 is taken/);
  const winner = nodeId(results[0].ok ? 1 : 2);
  // The loser's mirror shows it already: it can choose again at once.
  for (const store of [a, b]) assert.equal(store.snapshot().claimedAddresses.get(node.address), winner);
});

test('a record that changed since the snapshot is a conflict, whoever changed it', async (t) => {
  const etcd = await etcdFor(t);
  const [a, b] = [await storeFor(t, etcd, 'a'), await storeFor(t, etcd, 'b')];
  succeeded(await a.commit(enrol(1)));
  await until('b sees the node', () => b.snapshot().nodes.has(nodeId(1)), { within });
  const key: Key = { kind: 'node', id: nodeId(1) };
  const rename = (tag: string): Transaction =>
    transaction({ unchanged: [key], put: [{ kind: 'node', record: nodeRecord(1, { tags: [tag] }) }] });
  const results = await Promise.all([a.commit(rename('a')), b.commit(rename('b'))]);
  assert.equal(results.filter((result) => result.ok).length, 1);
  const gone = transaction({ unchanged: [key], delete: [key] });
  succeeded(await a.commit(gone));
  await until('b sees that it is gone', () => !b.snapshot().nodes.has(nodeId(1)), { within });
  // Absent stays absent: fine now, a conflict once it is there.
  succeeded(await b.commit(transaction({ unchanged: [key] })));
  const late = b.commit(rename('c'));
  failedWith(
    await a.commit(rename('d')).then(async (first) => ((await late).ok ? first : late)),
    'conflict',
    /^node 0+1 /,
  );
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
