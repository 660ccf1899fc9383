// What nodes are told to forget, over real gRPC.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { cieCode } from '#proto/model/nhrp.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import { until } from '#test/support/poll.ts';
import { multipoint, overlayRecord, registration } from '#test/support/registry-fixtures.ts';
import {
  call,
  type EnrolledNode,
  type NodeSession,
  type RegistryHost,
  registryFor,
  within,
} from '#test/support/registry-host.ts';

interface Joined {
  readonly node: EnrolledNode;
  readonly session: NodeSession;
}

function overlayStore(): MemoryStore {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  return store;
}

async function connect(registry: RegistryHost, node: EnrolledNode): Promise<NodeSession> {
  const session = registry.connect(node.identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  const { address, name } = node.response;
  session.say(registration(address, [multipoint(name, ['192.0.2.1:1000'])]));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
  return session;
}

async function join(registry: RegistryHost, name: string, prefixes: string[] = []): Promise<Joined> {
  const node = await registry.enrol(await registry.token({ prefixes }), { name, prefixes });
  return { node, session: await connect(registry, node) };
}

/** The classes of the next purge request. */
async function purged(session: NodeSession): Promise<string[]> {
  const { body } = await session.takeNhrp('purge-request');
  return body.cies.map((cie) => `${cie.protocolAddress ?? ''}/${String(cie.prefixLength)}`);
}

test('who never heard of a node from this registry forgets it when it is revoked, also one that connects later', async (t: TestContext) => {
  const registry = await registryFor(t, { store: overlayStore });
  const a = await join(registry, 'a');
  const c = await join(registry, 'c');
  await join(registry, 'b', ['10.2.0.0/24']);
  c.session.close();
  await call(registry.admin.revokeNode.bind(registry.admin), { node: 'b' });
  const classes = ['10.99.0.3/255', 'fd99::3/255', '10.2.0.0/24'];
  assert.deepEqual(await purged(a.session), classes);
  assert.deepEqual(await purged(await connect(registry, c.node)), classes);
});

test('everything is cleared by one message a node, repeated until acknowledged, also at another replica', async (t: TestContext) => {
  const store = overlayStore();
  const one = await registryFor(t, { store: () => store, replica: 'one' });
  const two = await registryFor(t, { store: () => store, replica: 'two', ca: one.ca });
  const a = await join(one, 'a');
  const b = await join(two, 'b');
  const recorded = (): boolean => {
    const { sessions, replicas } = store.snapshot();
    return sessions.size === 2 && [...replicas.values()].every((each) => each.address !== '');
  };
  await until('sessions and replicas are recorded', recorded, { within });
  assert.equal((await call(one.admin.clear.bind(one.admin), { address: '', all: true })).cleared, 4);
  const everything = ['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1'];
  assert.deepEqual(await purged(a.session), everything);
  const first = await b.session.takeNhrp('purge-request');
  const again = await b.session.takeNhrp('purge-request', first.requestId);
  assert.deepEqual(again.body.cies, first.body.cies);
  b.session.say({ ...again, body: { ...again.body, type: 'purge-reply' } });
});
