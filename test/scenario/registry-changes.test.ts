// What a change in the store makes the registry tell its nodes, and what it does not.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { status } from '@grpc/grpc-js';
import { cieCode } from '#proto/model/nhrp.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  bindingRecord,
  enrolled,
  multipoint,
  nodeRecord,
  overlayRecord,
  prefix,
  registration,
} from '#test/support/registry-fixtures.ts';
import { type NodeSession, type RegistryHost, registryFor } from '#test/support/registry-host.ts';

async function setting(t: TestContext): Promise<{ registry: RegistryHost; store: MemoryStore }> {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  return { registry: await registryFor(t, { store: () => store }), store };
}

async function join(registry: RegistryHost): Promise<{ id: string; session: NodeSession }> {
  const node = await registry.enrol(await registry.token(), { name: 'a' });
  const session = registry.connect(node.identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  session.say(registration(node.response.address, [multipoint('a')]));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
  return { id: node.response.nodeId, session };
}

test('a node whose registration is missing in the store is sent away, to register again', async (t) => {
  const { registry, store } = await setting(t);
  const { session } = await join(registry);
  const [binding] = store.snapshot().bindings.keys();
  assert.ok(binding !== undefined);
  store.force({ delete: [{ kind: 'binding', id: binding }] });
  await session.ended();
  assert.equal(session.error()?.code, status.UNAVAILABLE);
});

test('prefixes in no summary go to every node, and many of them are an event', async (t) => {
  const { registry, store } = await setting(t);
  const { session } = await join(registry);
  const first = prefix('10.8.0.0/24');
  store.force({ put: enrolled(nodeRecord(7, { prefixes: [first] }), bindingRecord(7, { prefixes: [first] })) });
  await session.take('route-sync', ({ upsert }) => upsert[0]?.prefix === first);
  const syncs = session.received.filter(({ type }) => type === 'route-sync').length;
  // Neither is of interest to others.
  store.force({ put: [{ kind: 'binding', record: bindingRecord(7, { prefixes: [first], mtu: 1280 }) }] });
  const covered = prefix('10.99.8.0/24');
  store.force({ put: enrolled(nodeRecord(8), bindingRecord(8, { prefixes: [covered] })) });
  const prefixes = Array.from({ length: 1001 }, (_, index) =>
    prefix(`172.${String(16 + (index >> 8))}.${String(index & 255)}.0/24`),
  );
  store.force({ put: enrolled(nodeRecord(9), bindingRecord(9, { prefixes })) });
  await session.take('route-sync', ({ upsert }) => upsert.length === 1001);
  assert.equal(session.received.filter(({ type }) => type === 'route-sync').length, syncs + 1);
  assert.ok(registry.context.events.list().some(({ kind }) => kind === 'overlay.many-prefixes'));
});
