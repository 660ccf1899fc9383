// RFC 2332 5.2.7: error indications.
import assert from 'node:assert/strict';
import { decodeCounters } from '#proto/codec/nhrp-counters.ts';
import { encodeNodeMessage } from '#proto/codec/session.ts';
import { errorCode } from '#proto/model/nhrp.ts';
import { directSpoke } from '#test/support/agent-story.ts';
import { serverOf } from '#registry/decide/transit.ts';
import { message, multipoint, overlayRecord } from '#test/support/registry-fixtures.ts';
import { call } from '#test/support/registry-host.ts';
import { exempt, must, mustNot, section } from './requirement.ts';
import { ask, enter, newId, pairFor, purge, refused, settingFor } from './setting.ts';

const indication = { type: 'error-indication', code: 7, offset: 0, contents: new Uint8Array() } as const;

export const errors = [
  ...section(
    '5.2.7',
    mustNot('There is never an error indication about an error indication', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const about = message(a.address, a.address, indication, { requestId: newId() });
      const unknown = { ...about, hopCount: 0, extensions: [{ type: 99, compulsory: true, value: new Uint8Array() }] };
      assert.deepEqual(await a.answers(about), []);
      assert.deepEqual(await a.answers({ ...unknown, requestId: newId() }), []);
      const wire = encodeNodeMessage({ type: 'nhrp', message: { ...about, requestId: newId() } });
      assert.ok(wire.body?.$case === 'nhrp');
      wire.body.value.sourceProtocolAddress = 'nowhere';
      a.session.write(wire);
      await a.answer(ask(a.address, '10.99.0.9'), 'resolution-reply');
      assert.ok(!a.session.received.some((one) => one.type === 'nhrp' && one.message.body.type === 'error-indication'));
      const story = directSpoke();
      story.effects('send');
      story.hear(indication);
      assert.deepEqual(story.effects('send'), []);
    }),
    must('The message that an error is about is dropped and changes nothing', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const wrong = { hopCount: 0 };
      await refused(setting, a, { ...enter(a.address, [multipoint('new')]), ...wrong }, errorCode.hopCountExceeded);
      await refused(setting, a, { ...purge(a.address, [a.address]), ...wrong }, errorCode.hopCountExceeded);
    }),
    must('An error indication is from who found the error, to who sent the message, with its request ID', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const server = serverOf(overlayRecord(), { id: 'replica-1' })[4];
      for (const source of [a.address, '10.99.0.77']) {
        const wrong = { ...ask(source, '10.99.0.9'), hopCount: 0 };
        const error = await a.answer(wrong, 'error-indication');
        assert.deepEqual([error.source, error.destination, error.requestId], [server, a.address, wrong.requestId]);
      }
    }),
    mustNot('An error indication is not passed on, so that none can go round', async (t) => {
      const { one, two } = await pairFor(t);
      const [a, b] = [await one.node(1), await two.node(2)];
      assert.deepEqual(await a.answers(message(a.address, b.address, indication, { requestId: newId() })), []);
      await b.codes(ask(b.address, '10.99.0.9'));
      assert.ok(!b.session.received.some((got) => got.type === 'nhrp' && got.message.body.type === 'error-indication'));
    }),
    must('Its codes are those of the RFC, each counted', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      await a.answers({ ...ask(a.address, '10.99.0.9'), hopCount: 0 });
      await a.answers(ask('10.99.0.7', '10.99.0.9'));
      const { registry } = setting;
      const { total } = await call(registry.query.getCounters.bind(registry.query), { node: '' });
      assert.deepEqual(decodeCounters(total).sent.errors, {
        [errorCode.authenticationFailure]: 1,
        [errorCode.hopCountExceeded]: 1,
      });
    }),
    exempt(
      'MUST',
      'It carries the head of the message that it is about, and an offset into that',
      'On a session the request ID and the addresses say which message it was; the node still has it.',
    ),
    exempt(
      'MUST',
      'Code 6: the protocol address of the next server cannot be reached',
      'There is no path of servers; a node that is not connected is answered about by its binding, for as long as that holds.',
    ),
    exempt(
      'MUST',
      'Code 8: the packet is too big for the next link',
      'gRPC has no such limit. What a message may carry of each element is limited, and a longer one is unreadable (error 7).',
    ),
  ),
];
