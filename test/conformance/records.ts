// RFC 2332 5.3: how often an extension may be there, and what servers write into theirs.
import assert from 'node:assert/strict';
import { errorCode, type Extension } from '#proto/model/nhrp.ts';
import { serverOf } from '#registry/decide/transit.ts';
import { joinedSpoke, other } from '#test/support/agent-story.ts';
import { cie, overlayRecord } from '#test/support/registry-fixtures.ts';
import { exempt, must, section } from './requirement.ts';
import { ask, pairFor, refused, refusedAcross, settingFor } from './setting.ts';

const extension = (type: number, value: readonly number[] = [], compulsory = true): Extension => ({
  type,
  compulsory,
  value: Uint8Array.from(value),
});
const octets = (extensions: readonly Extension[], type: number) => [
  ...(extensions.find((one) => one.type === type)?.value ?? []),
];
const two = serverOf(overlayRecord(), { id: 'replica-2' });

export const records = [
  ...section(
    '5.3',
    must('An extension is there once, unless its definition says otherwise: error 9', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      for (const type of [3, 4, 5])
        await refused(
          setting,
          a,
          { ...ask(a.address, '10.99.0.9'), extensions: [extension(type), extension(type)] },
          errorCode.invalidExtension,
        );
    }),
    must('A client takes an answer with extensions that it does not know and that are not compulsory', () => {
      const story = joinedSpoke();
      story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
      const [request] = story.sent('resolution-request');
      const flags = { router: true, authoritative: true, destinationStable: true, unique: false, sourceStable: true };
      story.hear(
        { type: 'resolution-reply', ...flags, cies: [cie()], target: other },
        {
          requestId: request?.requestId ?? 1,
          extensions: [extension(8, [0, 0, 12, 1], false), extension(0x3801, [], false)],
        },
      );
      assert.equal(story.state.shortcuts.size, 1);
    }),
    exempt(
      'MUST',
      'The unused bit of an extension is zero, and the list ends with the null extension (5.3.0)',
      'They are of the packet form. The packet codec in proto/nhrp has them, with tests of its own.',
    ),
    exempt(
      'MUST NOT',
      'What servers add for each other alone does not reach clients',
      'The replicas add no such extensions: what they tell each other is beside the NHRP message.',
    ),
  ),
  ...section(
    '5.3.1',
    must('Its record has the prefix length 0 and the code 0', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const request = { ...ask(a.address, b.address), extensions: [extension(3), extension(4)] };
      a.session.say(request);
      const reply = await a.session.takeNhrp('resolution-reply', request.requestId);
      const onward = await b.session.takeNhrp('resolution-request', request.requestId);
      for (const record of [octets(reply.extensions, 3), octets(onward.extensions, 4)])
        assert.deepEqual(record.slice(0, 12), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
    }),
    must('A server has the same address in all of its records', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const request = { ...ask(a.address, b.address), extensions: [extension(3), extension(4)] };
      a.session.say(request);
      const reply = await a.session.takeNhrp('resolution-reply', request.requestId);
      const onward = await b.session.takeNhrp('resolution-request', request.requestId);
      assert.deepEqual(octets(reply.extensions, 3), octets(onward.extensions, 4));
    }),
    exempt(
      'MUST',
      'A server that forwards a reply with its own address as the responder: error 3',
      'Replies pass no server: who answers has a session with who asked. A reply that a node sends gets error 10.',
    ),
  ),
  ...section(
    '5.3.2',
    must('A request that the next server on the way has passed already: error 3', async (t) => {
      const pair = await pairFor(t);
      const [a, b] = [await pair.one.node(1), await pair.two.node(2)];
      const record = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, ...two[4].split('.').map(Number)];
      const request = { ...ask(a.address, b.address), extensions: [extension(4, record)] };
      await refusedAcross(a, request, errorCode.loop);
      assert.ok(
        !b.session.received.some((got) => got.type === 'nhrp' && got.message.body.type === 'resolution-request'),
      );
    }),
    exempt(
      'MUST',
      'A server that would be an egress names its NBMA address',
      'A replica has no tunnel: no traffic goes by it.',
    ),
  ),
  ...section(
    '5.3.4',
    must('Authentication that cannot be checked is not passed over: error 1 if it is compulsory', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const request = { ...ask(a.address, '10.99.0.9'), extensions: [extension(7, [0, 0, 0, 1, 10, 99, 0, 1, 1, 2])] };
      await refused(setting, a, request, errorCode.unrecognisedExtension);
    }),
    exempt(
      'MUST',
      'Keys and algorithms are set by hand for each pair (5.3.4.2)',
      'The keys are those of the certificates, which the overlay issues and renews itself.',
    ),
  ),
  ...section(
    '5.3.5',
    must('Vendor-Private: it may be there more than once, and comes back each time', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const sent = [extension(8, [0, 0, 12, 1], false), extension(8, [0, 0, 13, 2], false)];
      const reply = await a.answer({ ...ask(a.address, '10.99.0.9'), extensions: sent }, 'resolution-reply');
      assert.deepEqual(
        reply.extensions.map(({ type, value }) => [type, ...value]),
        [
          [8, 0, 0, 12, 1],
          [8, 0, 0, 13, 2],
        ],
      );
    }),
  ),
];
