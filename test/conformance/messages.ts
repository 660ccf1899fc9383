// RFC 2332 5.1 and 5.2.0: what all messages have in common.
import assert from 'node:assert/strict';
import type { AgentState } from '#agent/decide/state.ts';
import { restore, save } from '#agent/decide/restore.ts';
import type { Instant } from '#proto/model/time.ts';
import { encodeNodeMessage } from '#proto/codec/session.ts';
import { cieCode, errorCode } from '#proto/model/nhrp.ts';
import { joinedSpoke, other, selfOf } from '#test/support/agent-story.ts';
import { message, multipoint } from '#test/support/registry-fixtures.ts';
import { exempt, must, section, should } from './requirement.ts';
import { announce, ask, enter, newId, pairFor, purge, refused, settingFor } from './setting.ts';

export const messages = [
  ...section(
    '5.1',
    must('A message whose hop count is exhausted goes no further: error 15', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1, { prefixes: [] });
      await setting.node(2);
      for (const request of [
        ask(a.address, '10.99.0.2'),
        enter(a.address, [multipoint('x')]),
        purge(a.address, [a.address]),
      ])
        await refused(setting, a, { ...request, hopCount: 0 }, errorCode.hopCountExceeded);
    }),
    must('Every server that a message passes takes one from its hop count', async (t) => {
      const { one, two } = await pairFor(t);
      const [a, here, there] = [await one.node(1), await one.node(2), await two.node(3)];
      for (const [target, hops] of [
        [here, 1],
        [there, 2],
      ] as const) {
        const request = ask(a.address, target.address);
        a.session.say(request);
        const seen = await target.session.takeNhrp('resolution-request', request.requestId);
        assert.equal(seen.hopCount, request.hopCount - hops);
      }
    }),
    exempt(
      'MUST',
      'Version, packet size, checksum and the lengths of addresses are right',
      'They are of the packet form, which gRPC replaces; TLS protects what they would. The packet codec in proto/nhrp has them, with tests of its own.',
    ),
    exempt(
      'MUST',
      'Address families may be any that IANA numbers',
      'The overlay is IPv4 and IPv6 over UDP on IPv4 and IPv6; a message of another family is refused as unreadable (error 7).',
    ),
  ),
  ...section(
    '5.2.0.1',
    must('A reply has the request ID of its request, whatever it is', async (t) => {
      const a = await (await settingFor(t)).node(1);
      for (const requestId of [0, 0x7fff_ffff, 0xffff_ffff]) {
        await a.answer({ ...ask(a.address, '10.99.0.9'), requestId }, 'resolution-reply');
        await a.answer({ ...enter(a.address, [multipoint('node-1')]), requestId }, 'registration-reply');
        await a.answer({ ...purge(a.address, ['192.0.2.0/24']), requestId }, 'purge-reply');
      }
    }),
    must('A reply has the source and the destination of its request', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const reply = await a.answer(ask(a.address, '10.99.0.9'), 'resolution-reply');
      assert.deepEqual([reply.source, reply.destination], [a.address, '10.99.0.9']);
    }),
    must('A request that is sent again has the same request ID', () => {
      const story = joinedSpoke();
      story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
      story.wait(1500);
      const ids = story.sent('resolution-request').map(({ requestId }) => requestId);
      assert.equal(ids.length, 2);
      assert.equal(new Set(ids).size, 1);
    }),
    must('A new request has a new request ID, also after a restart', () => {
      const story = joinedSpoke();
      const turn = { now: 0 as Instant, random: () => 0.5, effects: [] };
      const again: AgentState = restore(selfOf('spoke'), save(story.state), turn);
      assert.ok(again.nextRequestId > story.state.nextRequestId + 500, 'it jumps over those that were not saved');
    }),
    must('The prefix length 0 stands for 0xFF, exactly one address', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const gone = purge(a.address, [a.address]);
      const cleared = encodeNodeMessage({ type: 'nhrp', message: gone });
      assert.ok(cleared.body?.$case === 'nhrp' && cleared.body.value.body?.$case === 'purgeRequest');
      for (const cie of cleared.body.value.body.value.cies) cie.prefixLength = 0;
      a.session.write(cleared);
      assert.equal((await a.session.takeNhrp('purge-reply', gone.requestId)).body.cies[0]?.prefixLength, 0xff);
      const request = enter(a.address, [multipoint('node-1')]);
      const wire = encodeNodeMessage({ type: 'nhrp', message: request });
      assert.ok(wire.body?.$case === 'nhrp' && wire.body.value.body?.$case === 'registrationRequest');
      for (const cie of wire.body.value.body.value.cies) cie.prefixLength = 0;
      a.session.write(wire);
      const reply = await a.session.takeNhrp('registration-reply', request.requestId);
      assert.deepEqual(
        reply.body.cies.map(({ code, prefixLength }) => [code, prefixLength]),
        [[cieCode.ok, 0xff]],
      );
    }),
    must('A field that holds what it cannot hold is a protocol error, and the session goes on', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const wrong = [
        { holdingTimeSeconds: 0x1_0000 },
        { mtu: 0x1_0000 },
        { prefixLength: 129 },
        { protocolAddress: 'nowhere' },
        { nbma: ['192.0.2.1'] },
      ];
      for (const parts of wrong) {
        const request = enter(a.address, [multipoint('other')]);
        const wire = encodeNodeMessage({ type: 'nhrp', message: request });
        assert.ok(wire.body?.$case === 'nhrp' && wire.body.value.body?.$case === 'registrationRequest');
        for (const cie of wire.body.value.body.value.cies) Object.assign(cie, parts);
        a.session.write(wire);
        const error = await a.session.takeNhrp('error-indication', request.requestId);
        assert.equal(error.body.code, errorCode.protocolError);
      }
      await a.answer(ask(a.address, '10.99.0.9'), 'resolution-reply');
      assert.equal(setting.store.snapshot().nodeByKey.size, 1);
    }),
    must('A request speaks for its sender alone: error 11', async (t) => {
      const setting = await settingFor(t);
      const [a] = [await setting.node(1), await setting.node(2)];
      for (const request of [
        ask('10.99.0.2', '10.99.0.9'),
        enter('10.99.0.2', [multipoint('x')]),
        purge('10.99.0.2', ['10.99.0.2']),
      ])
        await refused(setting, a, request, errorCode.authenticationFailure);
    }),
    must(
      'Of the NBMA addresses of an entry the first is preferred: what hubs see before what the node claims',
      async (t) => {
        const setting = await settingFor(t);
        const hub = await setting.node(8, { role: 'hub' });
        const [a, b] = [await setting.node(1), await setting.node(2)];
        hub.session.send({
          type: 'observed-endpoints',
          endpoints: [{ publicKey: multipoint('node-2').publicKey, endpoint: '198.51.100.2:2' as never }],
        });
        const nbma = async () => (await a.answer(ask(a.address, b.address), 'resolution-reply')).body.cies[0]?.nbma;
        let seen = await nbma();
        for (let tries = 0; seen?.length !== 2 && tries < 100; tries++) seen = await nbma();
        assert.deepEqual(seen, ['198.51.100.2:2', '192.0.2.1:1000']);
      },
    ),
    should('A request without an answer is repeated after 1, 2, 4 and 7 s, and given up', () => {
      const story = joinedSpoke();
      story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
      const sent: number[] = [];
      for (let second = 0; second <= 60; second++) {
        if (story.sent('resolution-request').length > 0) sent.push(second);
        story.wait(1000);
      }
      assert.deepEqual(sent.slice(0, 4), [0, 1, 3, 7]);
      assert.equal(story.state.resolutions.size, 0);
    }),
    must('Every request ends in one reply or one error', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1, { prefixes: [] }), await setting.node(2)];
      const requests = [
        ask(a.address, b.address),
        ask(a.address, '10.99.0.9'),
        ask(a.address, a.address),
        ask('10.99.0.2', b.address),
        enter(a.address, [multipoint('node-1')]),
        enter(a.address, []),
        announce(a.address, ['10.5.0.0/16']),
        purge(a.address, []),
        message(
          a.address,
          b.address,
          { type: 'registration-request', unique: true, cies: [], interfaces: [], additive: false },
          { requestId: newId() },
        ),
      ];
      for (const request of requests) assert.equal((await a.answers(request)).length, 1);
    }),
  ),
];
