// RFC 2332 5.2.1, 5.2.2 and 6.3: resolution.
import assert from 'node:assert/strict';
import { cieCode, errorCode } from '#proto/model/nhrp.ts';
import { seconds } from '#proto/model/time.ts';
import { joinedSpoke, other, reply as replyTo, resolve } from '#test/support/agent-story.ts';
import { at, bindingRecord, message, nodeRecord } from '#test/support/registry-fixtures.ts';
import { exempt, may, must, mustNot, section, should } from './requirement.ts';
import { address, announce, ask, cie, newId, pairFor, prefix, refused, settingFor } from './setting.ts';

export const resolution = [
  ...section(
    '5.2.1',
    must('Resolution Request: there is at most one CIE', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      assert.deepEqual(await a.codes(ask(a.address, b.address, { cies: [cie()] })), [cieCode.ok]);
      await refused(setting, a, ask(a.address, b.address, { cies: [cie(), cie()] }), errorCode.protocolError);
    }),
    must('Resolution Request: U implies the prefix length 0xFF', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const wide = ask(a.address, b.address, { unique: true, cies: [cie({ prefixLength: 24 })] });
      await refused(setting, a, wide, errorCode.protocolError);
      assert.deepEqual(await a.codes(ask(a.address, b.address, { unique: true, cies: [cie()] })), [cieCode.ok]);
    }),
    must('Resolution Request: a holding time other than 0 needs S', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const temporary = { sourceStable: false, cies: [cie()] };
      await refused(setting, a, ask(a.address, b.address, temporary), errorCode.protocolError);
      const none = { sourceStable: false, cies: [cie({ holdingTime: seconds(0) })] };
      assert.deepEqual(await a.codes(ask(a.address, b.address, none)), [cieCode.ok]);
    }),
    must('Resolution Request: with A the answer is authoritative', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const reply = await a.answer(ask(a.address, b.address, { authoritativeOnly: true }), 'resolution-reply');
      assert.equal(reply.body.authoritative, true);
      assert.equal(reply.body.cies[0]?.code, cieCode.ok);
    }),
    must(
      'Resolution Request: the asked node learns of the asker, whose binding is good for the holding time only with S',
      async (t) => {
        const setting = await settingFor(t);
        const [a, b] = [await setting.node(1), await setting.node(2)];
        for (const [sourceStable, holdingTime] of [
          [true, 7200],
          [false, 0],
        ] as const) {
          const request = ask(a.address, b.address, { sourceStable });
          a.session.say(request);
          const seen = await b.session.takeNhrp('resolution-request', request.requestId);
          assert.equal(seen.body.cies[0]?.holdingTime, holdingTime);
          assert.deepEqual([seen.source, seen.body.target?.address], [a.address, a.address]);
        }
      },
    ),
    should('Resolution Request: while it is under way the traffic is forwarded', () => {
      const story = joinedSpoke();
      story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
      assert.equal(story.sent('resolution-request').length, 1);
      assert.ok(story.routes().includes('10.9.0.0/24 dmwg-h1'), 'the route by the hub stays');
    }),
    exempt(
      'MUST',
      'Resolution Request: a server that does not serve the destination forwards it along the routed path',
      'Every replica of the registry knows the bindings of all nodes and answers at once; what goes on is the notice to the asked node.',
    ),
  ),
  ...section(
    '5.2.2',
    must('Resolution Reply: Q, U and S are those of the request', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      for (const flag of ['router', 'unique', 'sourceStable'] as const) {
        for (const value of [true, false]) {
          const reply = await a.answer(ask(a.address, b.address, { [flag]: value }), 'resolution-reply');
          assert.equal(reply.body[flag], value);
        }
      }
    }),
    must('Resolution Reply: A only if the binding was registered, D if it is stable', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const found = await a.answer(ask(a.address, b.address), 'resolution-reply');
      assert.deepEqual([found.body.authoritative, found.body.destinationStable], [true, true]);
      const none = await a.answer(ask(a.address, '10.99.0.9'), 'resolution-reply');
      assert.equal(none.body.destinationStable, false);
    }),
    must('Resolution Reply: code 12 if there is no binding, or none any more', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      setting.absent(nodeRecord(5, { role: 'hub' }), bindingRecord(5, { lostAt: at(1) }));
      for (const destination of ['10.99.0.9', '203.0.113.1', '239.1.1.1', '10.99.0.5'])
        assert.deepEqual(await a.codes(ask(a.address, destination)), [cieCode.noBinding]);
    }),
    must('Resolution Reply: code 13 if the binding is not unique and U asks for that', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const b = await setting.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      assert.deepEqual(await a.codes(ask(a.address, '10.2.0.1', { unique: true })), [cieCode.notUnique]);
      assert.deepEqual(await a.codes(ask(a.address, b.address, { unique: true })), [cieCode.ok]);
    }),
    must('Resolution Reply: code 4 if policy forbids the answer', async (t) => {
      const setting = await settingFor(t, { overlay: { phase: 1 } });
      const [a, b] = [await setting.node(1), await setting.node(2)];
      assert.deepEqual(await a.codes(ask(a.address, b.address)), [cieCode.prohibited]);
    }),
    exempt(
      'MUST',
      'Resolution Reply: code 5 if there are not enough resources to answer',
      'The registry answers from memory and keeps nothing for the asker that it could run out of: its list of who was told what drops the oldest.',
    ),
    must('Resolution Reply: a refusal has one CIE, with the holding time 0', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1, { prefixes: [prefix('10.1.0.0/16')] });
      await setting.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      for (const request of [
        ask(a.address, '10.99.0.9'),
        ask(a.address, '10.2.0.1', { unique: true }),
        ask(a.address, '10.1.0.1'),
      ]) {
        const { body } = await a.answer(request, 'resolution-reply');
        assert.equal(body.cies.length, 1);
        assert.notEqual(body.cies[0]?.code, cieCode.ok);
        assert.deepEqual([body.cies[0]?.holdingTime, body.target], [0, undefined]);
      }
    }),
    must('Resolution Reply: the holding time is what remains of it', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const lostAt = at(Date.now() - 1_000_000);
      setting.absent(nodeRecord(5, { role: 'hub' }), bindingRecord(5, { lostAt }));
      const reply = await a.answer(ask(a.address, '10.99.0.5'), 'resolution-reply');
      const left = reply.body.cies[0]?.holdingTime ?? 0;
      assert.ok(left > 6100 && left <= 6200, String(left));
    }),
    must('Resolution Reply: it goes to who asked, by the replica that was asked', async (t) => {
      const { one, two } = await pairFor(t);
      const [a, b] = [await one.node(1), await two.node(2)];
      const request = ask(a.address, b.address);
      a.session.say(request);
      const reply = await a.session.takeNhrp('resolution-reply', request.requestId);
      assert.equal(reply.body.cies[0]?.code, cieCode.ok);
      await b.session.takeNhrp('resolution-request', request.requestId);
      assert.ok(
        b.session.received.every(
          (got) =>
            got.type !== 'nhrp' ||
            got.message.requestId !== request.requestId ||
            got.message.body.type === 'resolution-request',
        ),
      );
    }),
    must('Resolution Reply: one that was not asked for is answered by error 10', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const reply = {
        type: 'resolution-reply',
        router: true,
        authoritative: true,
        destinationStable: true,
        unique: false,
        sourceStable: true,
        cies: [cie()],
        target: undefined,
      } as const;
      await refused(setting, a, message(a.address, b.address, reply, { requestId: newId() }), errorCode.invalidReply);
      const story = joinedSpoke();
      replyTo(story, 4711, other);
      assert.deepEqual(
        story.sent('error-indication').map(({ body }) => body.code),
        [errorCode.invalidReply],
      );
      assert.equal(story.state.shortcuts.size, 0);
    }),
    mustNot('Resolution Reply: a client uses no more of the answer than it asked for', () => {
      const story = joinedSpoke();
      resolve(story, { ...other, prefixes: [prefix('0.0.0.0/0')] });
      assert.deepEqual([...story.state.shortcuts.keys()], ['10.9.0.11/32']);
    }),
    may('Resolution Reply: several CIEs give several ways, the most preferred first', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const reply = await a.answer(ask(a.address, b.address), 'resolution-reply');
      assert.equal(reply.body.cies.length, 1, 'a binding has one node, whose endpoints are in one CIE');
    }),
  ),
  ...section(
    '6.3',
    must(
      'The prefix of a reply is the shortest around the target without a more specific binding of another in it',
      async (t) => {
        const setting = await settingFor(t);
        const a = await setting.node(1);
        await setting.node(2, { prefixes: [prefix('10.1.0.0/16')] });
        await setting.node(3, { prefixes: [prefix('10.1.2.0/24')] });
        const lengths: (number | undefined)[] = [];
        for (const destination of ['10.1.200.1', '10.1.3.1', '10.1.2.1']) {
          const { body } = await a.answer(ask(a.address, destination), 'resolution-reply');
          lengths.push(body.cies[0]?.prefixLength);
        }
        assert.deepEqual(lengths, [17, 24, 24]);
      },
    ),
    must('A reply about one address has the prefix length 0xFF', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const { body } = await a.answer(ask(a.address, b.address, { unique: true }), 'resolution-reply');
      assert.deepEqual([body.cies[0]?.prefixLength, body.cies[0]?.protocolAddress], [0xff, b.address]);
    }),
    must(
      'A narrower registration narrows what is answered afterwards, and purges what was answered before',
      async (t) => {
        const setting = await settingFor(t);
        const a = await setting.node(1);
        await setting.node(2, { prefixes: [prefix('10.1.0.0/16')] });
        const c = await setting.node(3, { prefixes: [prefix('10.1.2.0/24')], silent: true });
        const before = await a.answer(ask(a.address, '10.1.2.1'), 'resolution-reply');
        assert.equal(before.body.target?.node, '0000000000000002');
        await c.register();
        const purged = await a.session.takeNhrp('purge-request');
        assert.equal(purged.body.cies[0]?.protocolAddress, address('10.1.0.0'));
        const after = await a.answer(ask(a.address, '10.1.2.1'), 'resolution-reply');
        assert.deepEqual([after.body.target?.node, after.body.cies[0]?.prefixLength], ['0000000000000003', 24]);
        assert.deepEqual(await c.codes(announce(c.address, [])), []);
      },
    ),
  ),
];
