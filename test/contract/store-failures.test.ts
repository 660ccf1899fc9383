// The store when its connection, its lease, its answers or its records fail.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { ProgramError } from '#proto/kit/errors.ts';
import type { Key } from '#registry/store/port.ts';
import { type Proxy, startProxy, type TestEtcd } from '#test/support/etcd.ts';
import { until } from '#test/support/poll.ts';
import { nodeId, nodeRecord } from '#test/support/registry-fixtures.ts';
import { enrol, etcdFor, failedWith, session, storeFor, succeeded, transaction, within } from './store-cases.ts';

async function proxyFor(t: TestContext, etcd: TestEtcd): Promise<Proxy> {
  const proxy = await startProxy(etcd.endpoint);
  t.after(() => proxy.close());
  return proxy;
}

test('what happened and was compacted while a replica was cut off is caught up by listing', async (t) => {
  const etcd = await etcdFor(t);
  const proxy = await proxyFor(t, etcd);
  const [a, b] = [await storeFor(t, proxy, 'a'), await storeFor(t, etcd, 'b')];
  for (let number = 1; number <= 5; number++) succeeded(await b.commit(enrol(number)));
  await until('a has all', () => a.snapshot().nodes.size === 5, { within });
  proxy.cut();
  await until('a notices', () => !a.healthy(), { within });
  const key: Key = { kind: 'node', id: nodeId(1) };
  succeeded(await b.commit(transaction({ delete: [key] })));
  succeeded(await b.commit(enrol(6)));
  await etcd.ctl('compact', String(b.snapshot().revision));
  assert.equal(a.snapshot().nodes.size, 5);
  proxy.heal();
  await until('a caught up', () => a.healthy() && a.snapshot().nodes.has(nodeId(6)), { within });
  assert.ok(!a.snapshot().nodes.has(nodeId(1)));
});

test('what happened while a replica was cut off is replayed, and nothing is missing', async (t) => {
  const etcd = await etcdFor(t);
  const proxy = await proxyFor(t, etcd);
  const [a, b] = [await storeFor(t, proxy, 'a'), await storeFor(t, etcd, 'b')];
  for (let round = 0; round < 4; round++) {
    proxy.cut();
    const puts = Array.from({ length: 250 }, (_, index) => b.commit(session(round * 250 + index + 1, 'b')));
    for (const result of await Promise.all(puts)) succeeded(result);
    proxy.heal();
    // Broken again in the middle of the replay.
    await until('the replay began', () => a.snapshot().sessions.size > round * 250, { within, every: 1 });
    proxy.cut();
    proxy.heal();
  }
  await until('a has all', () => a.snapshot().sessions.size === 1000, { within });
});

test('the keys of a replica that is cut off go with its lease, and come back unless another took them', async (t) => {
  const etcd = await etcdFor(t);
  const proxy = await proxyFor(t, etcd);
  const [a, b] = [await storeFor(t, proxy, 'a'), await storeFor(t, etcd, 'b')];
  for (const number of [1, 2, 3]) succeeded(await a.commit(enrol(number)));
  for (const number of [1, 2, 3]) succeeded(await a.commit(session(number, 'a')));
  proxy.cut();
  await until('the lease ended', () => !b.snapshot().replicas.has('a') && b.snapshot().sessions.size === 0, {
    within: 25_000,
  });
  assert.equal(a.snapshot().sessions.size, 3);
  succeeded(await b.commit(session(2, 'b')));
  succeeded(await b.commit(transaction({ delete: [{ kind: 'node', id: nodeId(3) }] })));
  proxy.heal();
  await until('a is back', () => b.snapshot().sessions.get(nodeId(1))?.replica === 'a', { within });
  await until('a is healthy', () => a.healthy() && a.snapshot().replicas.has('a'), { within });
  // An open watch may still be replaying.
  await until('a sees what b took', () => a.snapshot().sessions.get(nodeId(2))?.replica === 'b', { within });
  assert.equal(b.snapshot().sessions.get(nodeId(2))?.replica, 'b');
  succeeded(await a.commit(session(4, 'a')));
  await a.close();
  await until('a took its keys along', () => b.snapshot().sessions.size === 1 && b.snapshot().replicas.size === 1, {
    within: 5000,
  });
});

test('a commit whose answer was lost is repeated and still succeeds', async (t) => {
  const etcd = await etcdFor(t);
  const proxy = await proxyFor(t, etcd);
  const store = await storeFor(t, proxy, 'a');
  for (let number = 1; number <= 10; number++) {
    proxy.loseAnswer();
    succeeded(await store.commit(enrol(number)));
    const key: Key = { kind: 'node', id: nodeId(number) };
    proxy.loseAnswer();
    succeeded(await store.commit(transaction({ unchanged: [key], delete: [key] })));
  }
  assert.equal(store.snapshot().nodes.size, 0);
  assert.equal(store.snapshot().bindings.size, 10);
});

test('etcd that does not answer: unavailable after 3 s, and healthy again when it goes on', async (t) => {
  const etcd = await etcdFor(t);
  const store = await storeFor(t, etcd, 'a');
  succeeded(await store.commit(enrol(1)));
  etcd.pause();
  t.after(() => {
    etcd.resume();
  });
  const begin = Date.now();
  failedWith(await store.commit(enrol(2)), 'unavailable', /etcd/);
  assert.ok(Date.now() - begin < 4000, `${String(Date.now() - begin)} ms`);
  await until('it notices', () => !store.healthy(), { within });
  assert.equal(store.snapshot().nodes.has(nodeId(1)), true);
  etcd.resume();
  await until('it is healthy', () => store.healthy(), { within });
  succeeded(await store.commit(enrol(3)));
});

test('a record that cannot be read is ignored, and neither overwritten nor deleted', async (t) => {
  const etcd = await etcdFor(t);
  const store = await storeFor(t, etcd, 'a');
  succeeded(await store.commit(enrol(1)));
  const id = nodeId(1);
  const stored = `/dmwg/v1/blue/nodes/${id}`;
  const newer = '{"v":2,"record":{"id":"unheard of"}}';
  await etcd.ctl('put', stored, newer);
  await etcd.ctl('put', '/dmwg/v1/blue/strange/key', 'x');
  await until('it is out of the snapshot', () => !store.snapshot().nodes.has(id), { within });
  const key: Key = { kind: 'node', id };
  const writes = [
    transaction({ put: [{ kind: 'node', record: nodeRecord(1) }] }),
    transaction({ delete: [key] }),
    transaction({ unchanged: [key], put: [{ kind: 'node', record: nodeRecord(2) }] }),
  ];
  for (const write of writes) failedWith(await store.commit(write), 'unreadable', /node 0+1 /);
  assert.equal(await etcd.ctl('get', '--print-value-only', stored), `${newer}\n`);
  const fresh = await storeFor(t, etcd, 'b');
  assert.ok(!fresh.snapshot().nodes.has(id));
  assert.ok(fresh.snapshot().bindings.has(id));
});

test('a replica that starts again drops the sessions of its earlier run', async (t) => {
  const etcd = await etcdFor(t);
  const proxy = await proxyFor(t, etcd);
  const first = await storeFor(t, proxy, 'a');
  succeeded(await first.commit(session(1, 'a')));
  proxy.cut();
  const second = await storeFor(t, etcd, 'a');
  assert.equal(second.snapshot().sessions.size, 0);
  assert.ok(second.snapshot().replicas.has('a'));
  succeeded(await second.commit(session(2, 'a')));
});

test('without etcd the store does not open, and says what it tried', async (t) => {
  const begin = Date.now();
  await assert.rejects(storeFor(t, { endpoint: 'http://127.0.0.1:1' }, 'a', { openWithin: 1000 }), (error) => {
    assert.ok(error instanceof ProgramError);
    assert.match(error.message, /cannot read the store from etcd at http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
    return true;
  });
  assert.ok(Date.now() - begin < 3000);
});
