// Resolutions without a session.
import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeNhrp, encodeNhrp } from '#proto/codec/nhrp.ts';
import type { Logger } from '#proto/kit/log.ts';
import { errorCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import type { Instant, Timestamp } from '#proto/model/time.ts';
import { Complaints } from '#registry/serve/complaints.ts';
import { Inquiries, inquiryRate } from '#registry/serve/inquiries.ts';
import { Traffic } from '#registry/serve/traffic.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import {
  bindingRecord,
  enrolled,
  nodeRecord,
  overlayRecord,
  registration,
  resolution,
} from '#test/support/registry-fixtures.ts';

const one = nodeRecord(1);

function setUp() {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }, ...enrolled(one, bindingRecord(1))] });
  const lines: Record<string, unknown>[] = [];
  const note = (fields: Record<string, unknown>) => lines.push(fields);
  const log = { warn: note, trace: () => undefined, isLevelEnabled: () => true } as unknown as Logger;
  const time = { now: 0 };
  const held = (): Timestamp => time.now as Timestamp;
  const clock = { now: () => time.now as Instant, date: held, held };
  const traffic = new Traffic(clock, log);
  const context = { store, clock, traffic, self: { id: 'replica-1', address: '' } };
  const inquiries = new Inquiries(context, new Complaints(clock, log));
  const node = { kind: 'node', node: one } as const;
  const ask = (message: NhrpMessage, caller: Parameters<Inquiries['answer']>[1] = node) =>
    inquiries.answer({ message: encodeNhrp(message) }, caller);
  return { ask, inquiries, lines, time, traffic };
}

test('a node that asks too much is refused, which is one line in the log, and asks again later', () => {
  const { ask, lines, time } = setUp();
  const question = resolution('10.99.0.1', '10.99.0.9');
  for (let times = 0; times < inquiryRate.burst; times++) assert.ok(ask(question).ok);
  for (let times = 0; times < 50; times++) {
    const refused = ask(question);
    assert.ok(!refused.ok && refused.fault.code === 'too-many');
  }
  assert.ok(ask(question, { kind: 'admin', name: 'root' }).ok, 'an administrator is not held up');
  const complaints = lines.filter((line) => line['dropped'] === 'too many resolutions');
  assert.deepEqual(
    complaints.map((line) => line['node']),
    [one.name],
  );
  time.now += 1000;
  for (let times = 0; times < inquiryRate.perSecond; times++) assert.ok(ask(question).ok);
  assert.ok(!ask(question).ok);
});

test('what breaks a rule gets its error, is counted, and is one line in the log', () => {
  const { ask, inquiries, lines, traffic } = setUp();
  for (let times = 0; times < 3; times++) {
    for (const [said, code] of [
      [resolution('10.99.0.7', '10.99.0.9'), errorCode.authenticationFailure],
      [registration('10.99.0.1', []), errorCode.protocolError],
    ] as const) {
      const { message } = must(ask(said));
      assert.ok(message);
      const answer = must(decodeNhrp(message)).body;
      assert.ok(answer.type === 'error-indication' && answer.code === code);
    }
    const message = { ...encodeNhrp(resolution('10.99.0.1', '10.99.0.9')), sourceProtocolAddress: 'nowhere' };
    assert.ok(!inquiries.answer({ message }, { kind: 'node', node: one }).ok);
  }
  assert.deepEqual(traffic.total.sent.errors, { [errorCode.authenticationFailure]: 3, [errorCode.protocolError]: 3 });
  assert.equal(lines.length, 3);
});
