import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import test, { type TestContext } from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { createSession } from '#agent/io/session.ts';
import type { Session, SessionHandlers } from '#agent/io/session-port.ts';
import { parseIdentity } from '#proto/kit/certificate.ts';
import { systemClock } from '#proto/kit/clock.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';
import { type FakeRegistryOptions, startFakeRegistry, welcome } from '#test/support/fake-registry.ts';
import { logLines } from '#test/support/log-lines.ts';
import { authority, issue, issueNode, issueRegistry, nodeId } from '#test/support/pki.ts';
import { until } from '#test/support/poll.ts';

const within = { within: 8000, every: 10 };
const sync = { type: 'peer-sync', snapshot: true, upsert: [], remove: [nodeId], complete: true } as const;

interface Running {
  readonly session: Session;
  /** "connected", "disconnected: ...", "message peer-sync", "revoked: ..." */
  readonly events: string[];
  readonly lines: Record<string, unknown>[];
  stop(): Promise<void>;
}

function start(t: TestContext, registries: readonly string[], identity: ClientIdentity): Running {
  const { logger, lines } = logLines();
  const random = (): number => 0.5;
  const session = createSession({ registries, identity, agentVersion: '1.2.3', logger, clock: systemClock, random });
  const events: string[] = [];
  const handlers: SessionHandlers = {
    onConnected: () => events.push('connected'),
    onDisconnected: (reason) => events.push(`disconnected: ${reason}`),
    onMessage: (message) => events.push(`message ${message.type}`),
    onRevoked: (detail) => events.push(`revoked: ${detail}`),
  };
  const controller = new AbortController();
  const running = session.run(controller.signal, handlers);
  const stop = async (): Promise<void> => {
    controller.abort();
    await running;
  };
  t.after(stop);
  return { session, events, lines, stop };
}

async function registryOf(t: TestContext, identity: ClientIdentity, options?: FakeRegistryOptions) {
  const registry = await startFakeRegistry(identity, options);
  t.after(() => {
    registry.stop();
  });
  return registry;
}

/** The one line about trouble. */
function troubles(running: Running): string[] {
  const found = running.lines.filter((line) => line['msg'] === 'no session with the registry');
  return found.map((line) => String(line['code']));
}

test('hello, welcome, pushes both ways, ping and pong', async (t) => {
  const ca = await authority();
  const registry = await registryOf(t, await issueRegistry(ca));
  const running = start(t, [registry.endpoint], await issueNode(ca));
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
  const running = start(t, [registry.endpoint], await issueNode(ca));
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
  const running = start(t, [first.endpoint, second.endpoint], await issueNode(ca));
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
  const running = start(t, [first.endpoint, second.endpoint], await issueNode(ca));
  await until('connected twice', () => running.events.length === 3, within);
  assert.deepEqual(running.events, ['connected', 'disconnected: restart', 'connected']);
  assert.deepEqual(troubles(running), []);
});

test('a revoked node is told so, by goodbye or by status, and waits long', async (t) => {
  const ca = await authority();
  const identity = await issueRegistry(ca);
  const goodbye = await registryOf(t, identity, {
    onSession: (stream) => {
      stream.say(welcome);
      stream.say({ type: 'goodbye', reason: 'revoked', detail: 'join again' });
    },
  });
  const metadata = new Metadata();
  metadata.set('dmwg-fault', 'revoked');
  const denial = await registryOf(t, identity, {
    onSession: (stream) =>
      stream.call.emit('error', { code: status.PERMISSION_DENIED, details: 'join again', metadata }),
  });
  for (const registry of [goodbye, denial]) {
    const running = start(t, [registry.endpoint], await issueNode(ca));
    await until('revoked', () => running.events.includes('revoked: join again'), within);
    await running.stop();
    assert.equal(registry.streams.length, 1);
    assert.deepEqual(troubles(running), ['revoked']);
  }
});

test('a refusal for another reason revokes nothing', async (t) => {
  const ca = await authority();
  const identity = await issueRegistry(ca);
  for (const [code, expected] of [
    [status.PERMISSION_DENIED, 'refused'],
    [status.UNAUTHENTICATED, 'unauthenticated'],
    [status.UNAVAILABLE, 'unreachable'],
  ] as const) {
    const registry = await registryOf(t, identity, {
      onSession: (stream) => stream.call.emit('error', { code, details: 'no' }),
    });
    const running = start(t, [registry.endpoint], await issueNode(ca));
    await until('a line', () => troubles(running).length > 0, within);
    await running.stop();
    assert.deepEqual(troubles(running), [expected]);
    assert.deepEqual(running.events, []);
  }
});

test('a registry of another CA, or a node that poses as a registry, or an expired one: one line that says what to do', async (t) => {
  const ca = await authority();
  const hour = { now: (Date.now() - 7_200_000) as Timestamp, validity: seconds(3600) };
  const cases = [
    ['wrong-ca', await issueRegistry(await authority())],
    ['wrong-registry', await issueNode(ca)],
    ['wrong-registry', await issue(ca, { kind: 'registry', overlay: 'other', name: 'registry' })],
    ['registry-certificate-expired', await issueRegistry(ca, hour)],
  ] as const;
  for (const [code, identity] of cases) {
    const registry = await registryOf(t, identity);
    const running = start(t, [registry.endpoint, registry.endpoint], await issueNode(ca));
    await until(code, () => troubles(running).length > 0, { ...within, explain: () => JSON.stringify(running.lines) });
    await running.stop();
    assert.deepEqual(troubles(running), [code]);
    assert.deepEqual(running.events, []);
    assert.doesNotMatch(JSON.stringify(running.lines), /PRIVATE KEY/);
  }
});

test('an expired certificate of the node: one line, and a renewed one connects at once', async (t) => {
  const ca = await authority();
  const registry = await registryOf(t, await issueRegistry(ca));
  const expired = await issueNode(ca, { now: (Date.now() - 7_200_000) as Timestamp, validity: seconds(3600) });
  const running = start(t, [registry.endpoint], expired);
  await until('the line', () => troubles(running).length > 0, within);
  assert.deepEqual(troubles(running), ['certificate-expired']);
  running.session.replaceIdentity(await issueNode(ca));
  await until('connected', () => running.events.includes('connected'), within);
  running.session.replaceIdentity(await issueNode(ca));
  await until('connected again', () => running.events.length === 3, within);
  assert.deepEqual(running.events, ['connected', 'disconnected: stopped here', 'connected']);
});

test('nobody there, or something that is no registry: one line, and it goes on trying', async (t) => {
  const ca = await authority();
  const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const talking = start(t, [`127.0.0.1:${String(address.port)}`], await issueNode(ca));
  await until('a line', () => troubles(talking).length > 0, within);
  await talking.stop();
  assert.deepEqual(troubles(talking), ['wrong-registry']);

  const silent = start(t, ['127.0.0.1:1'], await issueNode(ca));
  await until('a line', () => troubles(silent).length > 0, within);
  await silent.stop();
  assert.deepEqual(troubles(silent), ['unreachable']);
});

test('a registry that does not read ends the session instead of filling memory', async (t) => {
  const ca = await authority();
  const registry = await registryOf(t, await issueRegistry(ca), {
    onSession: (stream) => {
      stream.say(welcome);
      stream.call.pause();
    },
  });
  const running = start(t, [registry.endpoint], await issueNode(ca));
  await until('connected', () => running.events.includes('connected'), within);
  const filling = { type: 'hello', agentVersion: 'x'.repeat(60_000) } as const;
  let taken = 0;
  while (running.session.send(filling)) taken += 1;
  assert.ok(taken >= 1024 && taken < 2048, String(taken));
  await until('disconnected', () => running.events.length > 1, within);
  assert.match(running.events[1] ?? '', /does not read/);
});
