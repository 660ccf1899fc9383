import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import test from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { seconds, type Timestamp } from '#proto/model/time.ts';
import { welcome } from '#test/support/fake-registry.ts';
import { authority, issue, issueNode, issueRegistry } from '#test/support/pki.ts';
import { registryOf, startSession, troubles } from '#test/support/session-run.ts';
import { until } from '#test/support/poll.ts';

const within = { within: 8000, every: 10 };

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
    const running = startSession(t, [registry.endpoint], await issueNode(ca));
    await until('revoked', () => running.events.includes('revoked: join again'), within);
    await running.stop();
    assert.equal(registry.streams.length, 1);
    assert.deepEqual(troubles(running), ['revoked']);
  }
});

test('a registry that does not know the node revokes nothing, and is asked again after a long wait', async (t) => {
  const ca = await authority();
  const metadata = new Metadata();
  metadata.set('dmwg-fault', 'unknown-node');
  const registry = await registryOf(t, await issueRegistry(ca), {
    onSession: (stream) => {
      stream.say(welcome);
      stream.call.emit('error', { code: status.UNAUTHENTICATED, details: 'does not know', metadata });
    },
  });
  const running = startSession(t, [registry.endpoint], await issueNode(ca));
  await until('a line', () => troubles(running).length > 0, within);
  await running.stop();
  assert.equal(registry.streams.length, 1);
  assert.deepEqual(troubles(running), ['unknown-node']);
  assert.deepEqual(running.events, ['connected', 'disconnected: does not know']);
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
    const running = startSession(t, [registry.endpoint], await issueNode(ca));
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
    const running = startSession(t, [registry.endpoint, registry.endpoint], await issueNode(ca));
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
  const running = startSession(t, [registry.endpoint], expired);
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
  const talking = startSession(t, [`127.0.0.1:${String(address.port)}`], await issueNode(ca));
  await until('a line', () => troubles(talking).length > 0, within);
  await talking.stop();
  assert.deepEqual(troubles(talking), ['wrong-registry']);

  const silent = startSession(t, ['127.0.0.1:1'], await issueNode(ca));
  await until('a line', () => troubles(silent).length > 0, within);
  await silent.stop();
  assert.deepEqual(troubles(silent), ['unreachable']);
});
