// What callers may not do to a registry, over real gRPC.
import assert from 'node:assert/strict';
import test from 'node:test';
import { status } from '@grpc/grpc-js';
import { cieCode } from '#proto/model/nhrp.ts';
import { Health } from '#registry/serve/health.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { hubTunnel, overlayRecord, registration } from '#test/support/registry-fixtures.ts';
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
