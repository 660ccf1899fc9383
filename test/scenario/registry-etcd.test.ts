// The registry over a real etcd that dies and comes back, and two replicas on one etcd.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { CertificateAuthority } from '#proto/kit/certificate.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import { cieCode } from '#proto/model/nhrp.ts';
import { transaction } from '#registry/decide/node.ts';
import { openStore, type OpenStore } from '#registry/store/store.ts';
import { startTestEtcd, type TestEtcd } from '#test/support/etcd.ts';
import { until } from '#test/support/poll.ts';
import { multipoint, overlayRecord, registration, resolution } from '#test/support/registry-fixtures.ts';
import {
  call,
  type EnrolledNode,
  type NodeSession,
  type RegistryHost,
  registryFor,
} from '#test/support/registry-host.ts';

/** Leases live for 10 s, and etcd needs its time. */
const patient = 20_000;

async function replicaFor(
  t: TestContext,
  etcd: TestEtcd,
  replica: string,
  ca?: CertificateAuthority,
): Promise<RegistryHost> {
  let store: OpenStore | undefined;
  const registry = await registryFor(t, {
    replica,
    ...(ca && { ca }),
    store: async (self) => {
      const logger = createLogger('test', process.env['DMWG_TEST_LOG'] ?? 'silent');
      store = await openStore({
        endpoints: [etcd.endpoint],
        overlay: 'blue',
        replica: self,
        logger,
        clock: systemClock,
      });
      const record = overlayRecord();
      await store.commit(transaction({ absent: [{ kind: 'overlay' }], put: [{ kind: 'overlay', record }] }));
      return store;
    },
  });
  t.after(() => store?.close());
  return registry;
}

async function connect(registry: RegistryHost, { identity }: EnrolledNode): Promise<NodeSession> {
  const session = registry.connect(identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  return session;
}

async function join(
  registry: RegistryHost,
  name: string,
): Promise<{
  session: NodeSession;
  node: EnrolledNode;
  address: string;
  register(key: string): Promise<number | undefined>;
}> {
  const node = await registry.enrol(await registry.token(), { name });
  const session = await connect(registry, node);
  const { address } = node.response;
  const register = async (key: string): Promise<number | undefined> => {
    session.say(registration(address, [multipoint(key)]));
    return (await session.takeNhrp('registration-reply')).body.cies[0]?.code;
  };
  assert.equal(await register(name), cieCode.ok);
  return { session, node, address, register };
}

test('while etcd is dead nodes are served from memory; when it is back what changed is stored', async (t) => {
  const etcd = await startTestEtcd();
  t.after(() => etcd.close());
  const registry = await replicaFor(t, etcd, 'one');
  const { store } = registry.context;
  const a = await join(registry, 'a');
  const b = await join(registry, 'b');
  await until('the sessions are recorded', () => store.snapshot().sessions.size === 2, { within: patient });

  await etcd.kill();
  assert.equal(await a.register('a'), cieCode.ok);
  a.session.say(resolution(a.address, b.address));
  const [reply] = await Promise.all([a.session.takeNhrp('resolution-reply'), b.session.takeNhrp('resolution-request')]);
  assert.equal(reply.body.cies[0]?.code, cieCode.ok);
  await until('the store notices', () => !store.healthy(), { within: patient });
  assert.equal(store.snapshot().bindings.size, 2);

  await etcd.start();
  await until('the store is back', () => store.healthy(), { within: patient });
  assert.equal(await b.register('b-new'), cieCode.ok);
  assert.equal((await a.session.takeNhrp('purge-request')).body.cies[0]?.protocolAddress, b.address);
  await until('the sessions are recorded', () => store.snapshot().sessions.size === 2, { within: patient });
  assert.ok([...store.snapshot().bindings.values()].every((binding) => binding.lostAt === undefined));
  assert.ok(!a.session.error() && !b.session.error());
});

test('two replicas on one etcd: a push crosses, and the newest session wins wherever it is', async (t) => {
  const etcd = await startTestEtcd();
  t.after(() => etcd.close());
  const one = await replicaFor(t, etcd, 'one');
  const two = await replicaFor(t, etcd, 'two', one.ca);
  const a = await join(one, 'a');
  const b = await join(two, 'b');
  const known = one.context.store;
  await until(
    'the replicas know each other and the sessions',
    () =>
      known.snapshot().sessions.size === 2 &&
      [...known.snapshot().replicas.values()].every((each) => each.address !== ''),
    { within: patient },
  );
  a.session.say(resolution(a.address, b.address));
  const [reply, request] = await Promise.all([
    a.session.takeNhrp('resolution-reply'),
    b.session.takeNhrp('resolution-request'),
  ]);
  assert.ok(reply.body.target?.rendezvous && request.body.target?.rendezvous);

  const node = await one.enrol(await one.token(), { name: 'c' });
  const first = one.connect(node.identity);
  first.send({ type: 'hello', agentVersion: 'test' });
  await first.take('welcome');
  await until('the first session is recorded', () => known.snapshot().sessions.size === 3, { within: patient });
  await until('the other replica knows the node', () => two.context.store.snapshot().nodes.size === 3, {
    within: patient,
  });
  const second = two.connect(node.identity);
  second.send({ type: 'hello', agentVersion: 'test' });
  await second.take('welcome');
  assert.equal((await first.take('goodbye')).reason, 'replaced');
});

test('what one replica told, another one purges: of who is there, and of who comes back there', async (t) => {
  const etcd = await startTestEtcd();
  t.after(() => etcd.close());
  const one = await replicaFor(t, etcd, 'one');
  const two = await replicaFor(t, etcd, 'two', one.ca);
  const a = await join(one, 'a');
  const b = await join(one, 'b');
  const classes = async (session: NodeSession, first = 0): Promise<unknown> => {
    const request = await session.takeNhrp('purge-request');
    session.say({ ...request, body: { ...request.body, type: 'purge-reply' } });
    return request.body.cies.slice(first).map(({ protocolAddress }) => protocolAddress);
  };
  const ask = async (session: NodeSession): Promise<void> => {
    session.say(resolution(a.address, b.address));
    assert.equal((await session.takeNhrp('resolution-reply')).body.cies[0]?.code, cieCode.ok);
  };
  const written = async (registry: RegistryHost): Promise<void> => {
    await until('etcd has what was told', () => registry.serving.answers.unwritten === 0, { within: patient });
  };
  const away = async (session: NodeSession, registry: RegistryHost): Promise<void> => {
    session.close();
    const { open } = registry.serving.sessions;
    await until('its session is over', () => [...open.values()].every(({ node }) => node !== a.node.response.nodeId), {
      within: patient,
    });
    await written(registry);
  };
  await ask(a.session);
  await away(a.session, one);
  assert.equal(await b.register('b-2'), cieCode.ok);
  const back = await connect(two, a.node);
  assert.deepEqual(await classes(back), [b.address], 'it forgets what changed while it was away');

  await ask(back);
  assert.equal(await b.register('b-3'), cieCode.ok);
  assert.deepEqual(await classes(back), [b.address], 'the other replica saw the change');

  await ask(back);
  await away(back, two);
  const order = { address: b.address, all: false };
  assert.equal((await call(one.admin.clear.bind(one.admin), order)).cleared, 2);
  const last = await connect(one, a.node);
  assert.deepEqual(await classes(last), [b.address], 'it forgets what was cleared while it was away');

  await written(one);
  await ask(last);
  await away(last, one);
  const final = await connect(one, a.node);
  await until(
    'what it was told is read',
    async () => {
      const found = await one.context.store.told.read(a.node.response.nodeId as never);
      return found.ok && found.value.length === 1;
    },
    { within: patient },
  );
  await ask(final);
  assert.ok(
    final.received.every(
      ({ type, ...rest }) => !('message' in rest) || rest.message.body.type !== 'purge-request' || type !== 'nhrp',
    ),
    'what was told since stays',
  );
});
