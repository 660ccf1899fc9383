import assert from 'node:assert/strict';
import test from 'node:test';
import { countingSession } from '#agent/io/counting-session.ts';
import type { SessionHandlers } from '#agent/io/session-port.ts';
import { decodeCounters, encodeCounters } from '#proto/codec/nhrp-counters.ts';
import { cieCode, errorCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import { NhrpCounter, nhrpTypes, noMessages, unknownError } from '#proto/model/nhrp-counters.ts';
import type { NodeMessage } from '#proto/model/session.ts';
import { Metrics } from '#registry/serve/metrics.ts';
import { cie, message, registration, resolution } from '#test/support/registry-fixtures.ts';

const reply = (...codes: number[]): NhrpMessage =>
  message('10.99.0.1', '10.99.0.1', {
    type: 'registration-reply',
    unique: true,
    cies: codes.map((code) => cie({ code })),
    observedEndpoint: undefined,
  });
const error = (code: number): NhrpMessage =>
  message('10.99.0.1', '10.99.0.2', { type: 'error-indication', code, offset: 0, contents: new Uint8Array() });

/** Two resolutions came; an ack, two NAKs and three error indications went. */
const counter = new NhrpCounter();
for (const one of [resolution('10.99.0.1', '10.99.0.2'), resolution('10.99.0.1', '10.99.0.3')])
  counter.add('received', one);
const before = counter.read();
for (const one of [
  reply(0),
  reply(0, cieCode.prohibited, cieCode.alreadyRegistered),
  reply(cieCode.prohibited),
  error(errorCode.loop),
  error(222),
  error(223),
])
  counter.add('sent', one);
const both = counter.read();

test('messages are counted by direction and type, a refusing reply once by its first code, unknown errors together', () => {
  assert.equal(before.sent.messages['registration-reply'], 0, 'what was read does not change');
  assert.equal(both.received.messages['resolution-request'], 2);
  assert.equal(both.sent.messages['resolution-request'], 0);
  assert.deepEqual(both.received.naks, noMessages.received.naks);
  assert.equal(both.sent.messages['registration-reply'], 3);
  assert.deepEqual(both.sent.naks, { 'resolution-reply': {}, 'registration-reply': { [cieCode.prohibited]: 2 } });
  assert.equal(both.sent.messages['error-indication'], 3);
  assert.deepEqual(both.sent.errors, { [errorCode.loop]: 1, [unknownError]: 2 });
  assert.deepEqual(
    Object.values(noMessages.sent.messages),
    nhrpTypes.map(() => 0),
    'counting starts from nothing',
  );
});

test('counters cross gRPC unchanged, without their zeros', () => {
  assert.deepEqual(decodeCounters(encodeCounters(both)), both);
  assert.deepEqual(decodeCounters(undefined), noMessages);
  assert.deepEqual(encodeCounters(noMessages), { received: [], sent: [] });
  assert.equal(encodeCounters(both).received.length, 1);
  const future = decodeCounters({ received: [{ type: 99 as never, code: 0, count: 1n }], sent: [] });
  assert.deepEqual(future, noMessages);
});

test('/metrics says the same', async () => {
  const { body } = await new Metrics(() => both, {}).text();
  for (const line of [
    'dmwg_registry_nhrp_messages_total{direction="received",type="resolution-request"} 2',
    'dmwg_registry_nhrp_messages_total{direction="sent",type="purge-reply"} 0',
    'dmwg_registry_nhrp_naks_total{direction="sent",type="registration-reply",code="4"} 2',
    'dmwg_registry_nhrp_errors_total{direction="sent",code="3"} 1',
  ]) {
    assert.ok(body.split('\n').includes(line), `${line} is missing`);
  }
});

test('the agent counts what came and what its session took', async () => {
  let taken = true;
  let handlers: SessionHandlers | undefined;
  const session = countingSession({
    send: () => taken,
    run: (_signal, given) => {
      handlers = given;
      return Promise.resolve();
    },
    replaceIdentity: () => undefined,
    reconnect: () => undefined,
  });
  const passed: string[] = [];
  await session.run(AbortSignal.timeout(0), {
    onConnected: () => undefined,
    onDisconnected: () => undefined,
    onMessage: ({ type }) => passed.push(type),
    onRevoked: () => undefined,
  });
  const request: NodeMessage = { type: 'nhrp', message: registration('10.99.0.1', []) };
  assert.equal(session.send(request), true);
  assert.equal(session.send({ type: 'pong', id: 1n }), true);
  taken = false;
  assert.equal(session.send(request), false);
  handlers?.onMessage({ type: 'nhrp', message: reply(cieCode.noResources) });
  assert.deepEqual(passed, ['nhrp']);
  const { sent, received } = session.counters();
  assert.equal(sent.messages['registration-request'], 1);
  assert.deepEqual(received.naks['registration-reply'], { [cieCode.noResources]: 1 });
});
