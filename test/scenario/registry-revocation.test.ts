// Who is told to take its tunnels down: a node that was shut out, and never one that the registry has lost.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { status } from '@grpc/grpc-js';
import { EnrolmentServiceClient } from '#proto/gen/dmwg/v1/enrolment.ts';
import { registryChannelOptions, registryCredentials } from '#proto/kit/registry-credentials.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Store } from '#registry/store/port.ts';
import { etcdFor, storeFor, succeeded, transaction } from '#test/contract/store-cases.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import { until } from '#test/support/poll.ts';
import { overlayRecord } from '#test/support/registry-fixtures.ts';
import {
  call,
  type EnrolledNode,
  type NodeSession,
  type RegistryHost,
  registryFor,
  within,
} from '#test/support/registry-host.ts';
import { startSession, troubles } from '#test/support/session-run.ts';

const overlay = { kind: 'overlay', record: overlayRecord() } as const;

async function setting(t: TestContext): Promise<{ readonly registry: RegistryHost; readonly store: MemoryStore }> {
  const store = createMemoryStore();
  store.force({ put: [overlay] });
  return { registry: await registryFor(t, { store: () => store }), store };
}

async function join(registry: RegistryHost, name: string): Promise<EnrolledNode> {
  return registry.enrol(await registry.token(), { name });
}

async function greeted(registry: RegistryHost, { identity }: EnrolledNode): Promise<NodeSession> {
  const session = registry.connect(identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  return session;
}

/** How a session that ended did so: the reason of its Goodbye, the code of its fault, or both. */
async function ending(session: NodeSession): Promise<string> {
  await session.ended();
  const goodbyes = session.received.flatMap((message) => (message.type === 'goodbye' ? [message.reason] : []));
  const faults = session.error()?.metadata.get('dmwg-fault') ?? [];
  return [...goodbyes, ...faults].join(' ');
}

async function refusal(registry: RegistryHost, { identity }: EnrolledNode): Promise<string> {
  const session = registry.connect(identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  return ending(session);
}

const kinds = (registry: RegistryHost, node: string): string[] =>
  registry.context.events
    .list()
    .filter((event) => event.node === node)
    .map((event) => event.kind);

test('a node that is revoked or leaves is told so, now and later, and another may have its name', async (t) => {
  const { registry, store } = await setting(t);
  const [a, b] = [await join(registry, 'a'), await join(registry, 'b')];
  const [first, second] = [await greeted(registry, a), await greeted(registry, b)];
  await call(registry.admin.revokeNode.bind(registry.admin), { node: 'a' });
  assert.equal(await ending(first), 'revoked');
  const client = new EnrolmentServiceClient(
    registry.address,
    registryCredentials(b.identity),
    registryChannelOptions(registry.address),
  );
  t.after(() => {
    client.close();
  });
  await call(client.leave.bind(client), {});
  assert.equal(await ending(second), 'revoked');
  assert.deepEqual(
    [...store.snapshot().revoked.values()].map(({ node, name, reason }) => [node, name, reason]),
    [
      [a.response.nodeId, 'a', 'revoked'],
      [b.response.nodeId, 'b', 'left'],
    ],
  );
  const again = await join(registry, 'a');
  await greeted(registry, again);
  assert.equal(await refusal(registry, a), 'revoked');
  assert.equal(await refusal(registry, b), 'revoked');
});

test('a node whose record is missing is unknown, not revoked, and is told once to the operator', async (t) => {
  const { registry, store } = await setting(t);
  const [a, b] = [await join(registry, 'a'), await join(registry, 'b')];
  const [first, second] = [await greeted(registry, a), await greeted(registry, b)];
  const id = a.response.nodeId as NodeId;
  const record = store.snapshot().nodes.get(id);
  assert.ok(record);
  store.force({ delete: [{ kind: 'node', id }] });
  assert.equal(await ending(first), 'unknown-node');
  assert.equal(first.error()?.code, status.UNAUTHENTICATED);
  assert.equal(await refusal(registry, a), 'unknown-node');
  assert.equal(await refusal(registry, a), 'unknown-node');
  assert.deepEqual(kinds(registry, id), ['node.unknown', 'session.closed']);
  assert.equal(second.error(), undefined);
  // Restored: it goes on, and a second loss is news again.
  store.force({ put: [{ kind: 'node', record }] });
  const restored = await greeted(registry, a);
  store.force({ delete: [{ kind: 'node', id }] });
  assert.equal(await ending(restored), 'unknown-node');
  assert.equal(kinds(registry, id).filter((kind) => kind === 'node.unknown').length, 2);
});

test('without an overlay in the store nothing is answered but the events', async (t) => {
  const { registry, store } = await setting(t);
  const a = await join(registry, 'a');
  const session = await greeted(registry, a);
  store.force({ delete: [{ kind: 'overlay' }, { kind: 'node', id: a.response.nodeId as NodeId }] });
  assert.equal(await ending(session), 'no-overlay');
  assert.equal(session.error()?.code, status.UNAVAILABLE);
  assert.equal(await refusal(registry, a), 'no-overlay');
  const calls = [
    () => registry.token(),
    () => call(registry.query.listNodes.bind(registry.query), {}),
    () => call(registry.admin.revokeNode.bind(registry.admin), { node: 'a' }),
  ];
  for (const ask of calls) await assert.rejects(ask(), { code: status.UNAVAILABLE });
  const { events } = await call(registry.query.listEvents.bind(registry.query), {});
  assert.ok(events.some((event) => event.kind === 'overlay.missing'));
});

test('etcd wiped under a running registry: no node is told that it is revoked, and an agent waits', async (t) => {
  const etcd = await etcdFor(t);
  let store: Store | undefined;
  const registry = await registryFor(t, {
    store: async (self) => (store = await storeFor(t, etcd, self.id, { replica: self })),
  });
  assert.ok(store);
  const known = store;
  succeeded(await known.commit(transaction({ put: [overlay] })));
  const [a, b, c] = [await join(registry, 'a'), await join(registry, 'b'), await join(registry, 'c')];
  const sessions = [await greeted(registry, a), await greeted(registry, b)];
  const agent = startSession(t, [registry.address], c.identity);
  await until('the agent is connected', () => agent.events.includes('connected'), { within });

  await etcd.wipe();
  await etcd.start();
  for (const session of sessions) {
    await until('the loss is seen', () => session.error() !== undefined, { within: 20_000 });
    assert.equal(await ending(session), 'no-overlay');
  }
  await until('the agent has no session', () => troubles(agent).includes('unreachable'), { within });
  // As a registry does that is started on empty data.
  succeeded(await known.commit(transaction({ put: [overlay] })));
  await until('the agent is unknown', () => troubles(agent).includes('unknown-node'), { within: 20_000 });
  for (const node of [a, b]) assert.equal(await refusal(registry, node), 'unknown-node');
  await agent.stop();
  assert.ok(!agent.events.some((event) => event.startsWith('revoked')), agent.events.join());
});
