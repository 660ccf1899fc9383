import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { parseIdentity } from '#proto/kit/certificate.ts';
import { milliseconds } from '#proto/model/time.ts';
import { must } from '#proto/model/result.ts';
import { welcome } from '#test/support/fake-registry.ts';
import { authority, issueNode, issueRegistry, nodeId } from '#test/support/pki.ts';
import { registryOf, startSession, troubles } from '#test/support/session-run.ts';
import { until } from '#test/support/poll.ts';

const within = { within: 8000, every: 10 };
const sync = { type: 'peer-sync', snapshot: true, upsert: [], remove: [nodeId], complete: true } as const;

test('hello, welcome, pushes both ways, ping and pong', async (t) => {
  const ca = await authority();
  const registry = await registryOf(t, await issueRegistry(ca));
  const running = startSession(t, [registry.endpoint], await issueNode(ca));
  assert.equal(running.session.send({ type: 'pong', id: 1n }), false);
  await until('connected', () => running.events.includes('connected'), within);
  const stream = registry.streams[0];
  assert.ok(stream?.certificate);
  assert.equal(must(parseIdentity(stream.certificate)).kind, 'node');
  stream.say(sync);
  stream.say({ type: 'ping', id: 77n });
  assert.equal(running.session.send({ type: 'observed-endpoints', endpoints: [] }), true);
  await until('three messages', () => stream.received.length === 3, within);
  await until('the push', () => running.events.includes('message peer-sync'), within);
  assert.deepEqual(stream.received[0], { type: 'hello', agentVersion: '1.2.3' });
  assert.deepEqual(
    stream.received.find((message) => message.type === 'pong'),
    { type: 'pong', id: 77n },
  );
  await running.stop();
  assert.deepEqual(running.events, ['connected', 'message peer-sync', 'disconnected: stopped here']);
  assert.equal(running.session.send({ type: 'pong', id: 1n }), false);
});

test('what is not understood is logged once and ignored', async (t) => {
  const ca = await authority();
  const registry = await registryOf(t, await issueRegistry(ca));
  const running = startSession(t, [registry.endpoint], await issueNode(ca));
  await until('connected', () => running.events.includes('connected'), within);
  const stream = registry.streams[0];
  for (let count = 0; count < 3; count += 1) {
    stream?.call.write({
      body: { $case: 'peerSync', value: { snapshot: true, upsert: [], removeNodeIds: ['x'], complete: true } },
    });
    stream?.call.write({ body: undefined });
  }
  stream?.say(sync);
  await until('the good one', () => running.events.includes('message peer-sync'), within);
  assert.deepEqual(running.events, ['connected', 'message peer-sync']);
  const ignored = running.lines.filter((line) => line['msg'] === 'ignoring a message that is not understood');
  assert.deepEqual(
    ignored.map((line) => line['kind']),
    ['peerSync', 'unknown'],
  );
});

test('it comes back when the registry does, and goes to another address meanwhile', async (t) => {
  const ca = await authority();
  const identity = await issueRegistry(ca);
  const first = await registryOf(t, identity);
  const second = await registryOf(t, identity);
  const running = startSession(t, [first.endpoint, second.endpoint], await issueNode(ca));
  await until('connected', () => running.events.length === 1, within);
  first.stop();
  await until('connected to the second', () => second.streams.length === 1 && running.events.length === 3, within);
  const again = await registryOf(t, identity, { port: first.port });
  second.stop();
  await until('connected to the first', () => again.streams.length === 1 && running.events.length === 5, within);
  assert.deepEqual(
    running.events.map((event) => event.split(':')[0]),
    ['connected', 'disconnected', 'connected', 'disconnected', 'connected'],
  );
});

test('it goes back to a better registry that serves, but not before the fallback time', async (t) => {
  const ca = await authority();
  const identity = await issueRegistry(ca);
  const first = await registryOf(t, identity);
  const second = await registryOf(t, identity);
  const endpoints = [first.endpoint, second.endpoint];
  const running = startSession(t, endpoints, await issueNode(ca), milliseconds(1000));
  await until('connected', () => running.events.length === 1, within);
  first.stop();
  await until('connected to the second', () => second.streams.length === 1 && running.events.length === 3, within);
  const since = performance.now();
  let serving = false;
  const again = await registryOf(t, identity, { port: first.port, isServing: () => serving });
  await until('it was asked in vain', () => again.checks() > 0, within);
  assert.ok(performance.now() - since > 900);
  assert.equal(running.events.length, 3);
  serving = true;
  await until('back at the first', () => again.streams.length === 1 && running.events.length === 5, within);
  assert.deepEqual(
    running.events.map((event) => event.split(':')[0]),
    ['connected', 'disconnected', 'connected', 'disconnected', 'connected'],
  );
  // It stays there.
  assert.equal(second.streams.length, 1);
  assert.equal(second.checks(), 0);
});

test('draining leads to the next address without a word of trouble', async (t) => {
  const ca = await authority();
  const identity = await issueRegistry(ca);
  const first = await registryOf(t, identity, {
    onSession: (stream) => {
      stream.say(welcome);
      stream.say({ type: 'goodbye', reason: 'draining', detail: 'restart' });
    },
  });
  const second = await registryOf(t, identity);
  const running = startSession(t, [first.endpoint, second.endpoint], await issueNode(ca));
  await until('connected twice', () => running.events.length === 3, within);
  assert.deepEqual(running.events, ['connected', 'disconnected: restart', 'connected']);
  assert.deepEqual(troubles(running), []);
});

test('a registry that does not read ends the session instead of filling memory', async (t) => {
  const ca = await authority();
  const registry = await registryOf(t, await issueRegistry(ca), {
    onSession: (stream) => {
      stream.say(welcome);
      stream.call.pause();
    },
  });
  const running = startSession(t, [registry.endpoint], await issueNode(ca));
  await until('connected', () => running.events.includes('connected'), within);
  const filling = { type: 'hello', agentVersion: 'x'.repeat(60_000) } as const;
  let taken = 0;
  while (running.session.send(filling)) taken += 1;
  assert.ok(taken >= 1024 && taken < 2048, String(taken));
  await until('disconnected', () => running.events.length > 1, within);
  assert.match(running.events[1] ?? '', /does not read/);
});

test('a path that swallows everything is noticed by keepalive, and nothing is left of it', async (t) => {
  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const before = sockets();
  const ca = await authority();
  const registry = await registryOf(t, await issueRegistry(ca));
  const proxy = await startProxy(t, registry.port);
  const running = startSession(t, [proxy.endpoint], await issueNode(ca));
  await until('connected', () => running.events.includes('connected'), within);
  const cutAt = performance.now();
  proxy.swallow();
  await until('disconnected', () => running.events.length === 2, within);
  const took = performance.now() - cutAt;
  assert.ok(took < 9500, String(took));
  await running.stop();
  registry.stop();
  proxy.stop();
  await until('no socket is left', () => sockets() <= before, within);
});

interface Proxy {
  readonly endpoint: string;
  /** Connections stay open, and nothing passes any more. */
  swallow(): void;
  stop(): void;
}

async function startProxy(t: TestContext, port: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const stop = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  t.after(stop);
  return {
    endpoint: `127.0.0.1:${String(address.port)}`,
    swallow: () => {
      for (const socket of sockets) socket.unpipe().resume();
    },
    stop,
  };
}
