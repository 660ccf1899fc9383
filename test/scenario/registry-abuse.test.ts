// What callers may not do to a registry, over real gRPC.
import assert from 'node:assert/strict';
import test from 'node:test';
import { status } from '@grpc/grpc-js';
import { cieCode } from '#proto/model/nhrp.ts';
import { Health } from '#registry/serve/health.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  announcement,
  hubTunnel,
  multipoint,
  overlayRecord,
  prefix,
  registration,
} from '#test/support/registry-fixtures.ts';
import { call, registryFor } from '#test/support/registry-host.ts';

const overlayStore = () => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  return store;
};

test('an enrolment without a valid token is not looked at, and leaves no event', async (t) => {
  const registry = await registryFor(t, { store: overlayStore });
  const token = await registry.token();
  const prefixes = Array.from({ length: 10_000 }, () => '2001:db8::/64');
  const stranger = { name: 'Not a name', prefixes, tokenSecret: Buffer.alloc(32) };
  await assert.rejects(registry.enrol(token, stranger), { code: status.PERMISSION_DENIED });
  const { events } = await call(registry.query.listEvents.bind(registry.query), {});
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['token.created'],
  );
  // With a token the lists are counted before they are read, and a long message is not taken at all.
  await assert.rejects(registry.enrol(token, { prefixes }), {
    code: status.RESOURCE_EXHAUSTED,
    details: /^prefixes: 10000/,
  });
  const long = Array.from({ length: 30_000 }, () => '2001:db8::/64');
  await assert.rejects(registry.enrol(token, { ...stranger, prefixes: long }), {
    code: status.RESOURCE_EXHAUSTED,
    details: /larger than max/,
  });
});

test('a node that says much at once is held up and served, and registers at most 32 interfaces', async (t) => {
  const registry = await registryFor(t, { store: overlayStore });
  const spoke = await registry.enrol(await registry.token(), { name: 'spoke' });
  const session = registry.connect(spoke.identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  // Far more than it may send at once: it is held up, and served all the same.
  for (let id = 0n; id < 300n; id++) session.send({ type: 'pong', id });
  const { address } = spoke.response;
  const interfaces = Array.from({ length: 33 }, (_, index) => hubTunnel(`spoke-${String(index)}`, index + 1));
  session.say(registration(address, interfaces));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.noResources);
  session.say(registration(address, interfaces.slice(1)));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
});

test('health says NOT_SERVING without the data of the overlay, and when the registry stops', () => {
  const store = createMemoryStore();
  const said: string[] = [];
  const health = new Health(store, { setStatus: (_, status) => said.push(status), addToServer: () => undefined });
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  store.force({ delete: [{ kind: 'overlay' }] });
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  health.stop();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  assert.deepEqual(said, ['NOT_SERVING', 'SERVING', 'NOT_SERVING', 'SERVING', 'NOT_SERVING']);
});

test('a prefix that flaps 50 times a second is damped: other nodes hear of few of its changes', async (t) => {
  const registry = await registryFor(t, { store: overlayStore });
  const joined = async (name: string, prefixes: readonly string[] = []) => {
    const node = await registry.enrol(await registry.token({ prefixes: [...prefixes] }), {
      name,
      prefixes: [...prefixes],
    });
    const session = registry.connect(node.identity);
    session.send({ type: 'hello', agentVersion: 'test' });
    await session.take('welcome');
    session.say(registration(node.response.address, [multipoint(name)]));
    await session.takeNhrp('registration-reply');
    return { session, address: node.response.address };
  };
  const other = await joined('other');
  const { session, address } = await joined('flapping', ['172.16.0.0/16']);
  const [steady, lan] = ['172.16.1.0/24', '172.16.2.0/24'];
  const commits = (): number => (registry.context.store as MemoryStore).commits();
  let last: number | undefined;
  const before = commits();
  for (let count = 0; count < 50; count++) {
    for (const prefixes of [[steady], [steady, lan]]) {
      session.say(announcement(address, prefixes));
      last = (await session.takeNhrp('registration-reply')).body.cies[1]?.code;
    }
  }
  assert.equal(last, cieCode.noResources);
  assert.ok(commits() - before <= 15, `${String(commits() - before)} commits`);
  const named = other.session.received.filter(
    (one) =>
      one.type === 'route-sync' &&
      (one.remove.includes(prefix(lan)) || one.upsert.some((route) => route.prefix === lan)),
  );
  assert.ok(named.length <= 15, `${String(named.length)} times`);
  const { routes } = await call(registry.query.listRoutes.bind(registry.query), {});
  assert.deepEqual(
    routes.filter((route) => route.prefix.startsWith('172.')).map((route) => `${route.prefix} ${route.state}`),
    [`${steady} active`, `${lan} damped`],
  );
});
