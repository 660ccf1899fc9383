// RFC 2332 5.2.1 and 5.2.2: what a request may hold, and which fields of an answer count.
import assert from 'node:assert/strict';
import { cieCode, errorCode } from '#proto/model/nhrp.ts';
import { config, directSpoke, joinedSpoke, other, reply } from '#test/support/agent-story.ts';
import { may, must, section, should } from './requirement.ts';
import { address, ask, cie, newId, pairFor, prefix, refusedAcross, settingFor } from './setting.ts';

const heard = { type: 'traffic-indication', contents: new Uint8Array() } as const;

export const asking = [
  ...section(
    '5.1',
    must('A reply has a hop count of its own, as a request of the one that answers would', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const found = await a.answer({ ...ask(a.address, '10.99.0.9'), hopCount: 1 }, 'resolution-reply');
      assert.equal(found.hopCount, 16);
    }),
    must('Hops that do not suffice for all servers on the way: error 15, and nobody is told to start', async (t) => {
      const { one, two } = await pairFor(t);
      const [a, b] = [await one.node(1), await two.node(2)];
      await refusedAcross(a, { ...ask(a.address, b.address), hopCount: 1 }, errorCode.hopCountExceeded);
      assert.ok(
        !b.session.received.some((got) => got.type === 'nhrp' && got.message.body.type === 'resolution-request'),
      );
      a.session.say({ ...ask(a.address, b.address), hopCount: 2 });
      assert.equal((await b.session.takeNhrp('resolution-request')).hopCount, 0);
    }),
  ),
  ...section(
    '5.2.0.1',
    must('A reply is taken for the answer by its request ID and its source', () => {
      const story = joinedSpoke();
      story.hear(heard, { destination: other.address });
      const [request] = story.sent('resolution-request');
      assert.ok(request);
      const flags = { router: true, authoritative: true, destinationStable: true, unique: false, sourceStable: true };
      const body = { type: 'resolution-reply', ...flags, cies: [cie()], target: other } as const;
      story.hear(body, { requestId: request.requestId, source: address('10.9.0.77') });
      assert.equal(story.state.shortcuts.size, 0);
      assert.equal(story.sent('error-indication')[0]?.body.code, errorCode.invalidReply);
      story.hear(body, { requestId: request.requestId, source: config.address });
      assert.equal(story.state.shortcuts.size, 1);
    }),
    must('Request IDs are a counter of 32 bits', () => {
      const story = joinedSpoke();
      story.state = { ...story.state, nextRequestId: 0xffff_ffff };
      const ids = [other.address, address('10.9.0.12')].map((destination) => {
        story.hear(heard, { destination });
        return story.sent('resolution-request')[0]?.requestId;
      });
      assert.deepEqual(ids, [0xffff_ffff, 0]);
    }),
    should('The first request ID of a client is 0', () => {
      const story = joinedSpoke();
      const { registration, nextRequestId } = story.state;
      assert.equal(Math.min(...registration.pending.keys()), 0);
      assert.equal(nextRequestId, registration.pending.size);
    }),
    may('The MTU may be 0, which leaves it to each end', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const b = await setting.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      const cies = [cie({ protocolAddress: address('10.2.0.0'), prefixLength: 16, mtu: 0 })];
      assert.deepEqual(await b.codes({ ...registrationOf(b.address, cies) }), [0]);
      const found = await a.answer(ask(a.address, '10.2.3.4'), 'resolution-reply');
      assert.equal(found.body.cies[0]?.mtu, 0);
    }),
  ),
  ...section(
    '5.2.1',
    must('Resolution Request: Q says whether the client is a router', () => {
      for (const [prefixes, router] of [
        [config.prefixes, true],
        [[], false],
      ] as const) {
        const story = joinedSpoke({ ...config, prefixes });
        story.hear(heard, { destination: other.address });
        assert.equal(story.sent('resolution-request')[0]?.body.router, router);
      }
    }),
    may('Resolution Request: the prefix length of its CIE is the widest that the answer may have', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      await setting.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      const lengths = [];
      for (const prefixLength of [0xff, 0, 8, 24, 32]) {
        const wanted = ask(a.address, '10.2.3.4', { cies: [cie({ prefixLength })] });
        lengths.push((await a.answer(wanted, 'resolution-reply')).body.cies[0]?.prefixLength);
      }
      assert.deepEqual(lengths, [16, 16, 16, 24, 0xff]);
    }),
    must('Resolution Request: the other fields of its CIE are ignored', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const plain = await a.answer(ask(a.address, b.address, { cies: [cie()] }), 'resolution-reply');
      const odd = cie({
        code: 9,
        preference: 200,
        protocolAddress: address('192.0.2.77'),
        nbma: ['192.0.2.9:9' as never],
      });
      const same = await a.answer(ask(a.address, b.address, { cies: [odd] }), 'resolution-reply');
      assert.deepEqual(same.body.cies, plain.body.cies);
    }),
  ),
  ...section(
    '5.2.2',
    should(
      'Resolution Reply: of a refusal nothing but the code says anything, nor is anything else looked at',
      async (t) => {
        const a = await (await settingFor(t)).node(1);
        const none = await a.answer(ask(a.address, '10.99.0.9'), 'resolution-reply');
        const nothing = { mtu: 0, holdingTime: 0, nbma: [], protocolAddress: undefined, preference: 0 };
        assert.deepEqual(none.body.cies, [{ code: cieCode.noBinding, prefixLength: 0xff, ...nothing }]);
        assert.equal(none.body.authoritative, false);
        const story = joinedSpoke();
        story.hear(heard, { destination: other.address });
        const [request] = story.sent('resolution-request');
        reply(story, request?.requestId ?? 1, other, cieCode.noBinding);
        assert.equal(story.state.shortcuts.size, 0);
      },
    ),
    must('Resolution Reply: with U there is one CIE', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const found = await a.answer(ask(a.address, b.address, { unique: true }), 'resolution-reply');
      assert.deepEqual([found.body.unique, found.body.cies.length], [true, 1]);
    }),
  ),
  ...section(
    '6.2.2',
    may('A binding whose path fails is asked for again, by an authoritative request', () => {
      const story = directSpoke();
      story.effects('send');
      story.bfd(`direct:${other.node}`, 'down');
      story.hear(heard, { destination: other.address });
      assert.equal(story.sent('resolution-request').length, 0, 'not before its time');
      story.wait(60_000);
      story.hear(heard, { destination: other.address });
      assert.deepEqual(
        story.sent('resolution-request').map(({ body }) => body.authoritativeOnly),
        [true],
      );
    }),
  ),
  ...section(
    '6.3',
    must('A prefix is answered for only where all of it is stable: what its node alone announced', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      await setting.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      const { body } = await a.answer(ask(a.address, '10.2.3.4'), 'resolution-reply');
      assert.deepEqual([body.cies[0]?.prefixLength, body.destinationStable], [16, true]);
      assert.deepEqual(await a.codes(ask(a.address, '10.3.0.1')), [cieCode.noBinding]);
    }),
  ),
];

function registrationOf(source: string, cies: readonly ReturnType<typeof cie>[]) {
  const header = { hopCount: 16, requestId: newId(), sourceNbma: undefined, extensions: [] };
  const body = { type: 'registration-request', unique: false, cies, interfaces: [], additive: false } as const;
  return { ...header, source: address(source), destination: address(source), body };
}
