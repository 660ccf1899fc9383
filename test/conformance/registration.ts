// RFC 2332 5.2.3 and 5.2.4: registration.
import assert from 'node:assert/strict';
import { cieCode, errorCode } from '#proto/model/nhrp.ts';
import { seconds } from '#proto/model/time.ts';
import { joinedSpoke } from '#test/support/agent-story.ts';
import { multipoint } from '#test/support/registry-fixtures.ts';
import { exempt, may, must, section, should } from './requirement.ts';
import { address, announce, ask, cie, enter, prefix, refused, settingFor } from './setting.ts';

export const registration = [
  ...section(
    '5.2.3',
    must('Registration Request: U implies one CIE', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const own = cie({ protocolAddress: address(a.address) });
      for (const cies of [[], [own, own]])
        await refused(setting, a, enter(a.address, [multipoint('x')], { cies }), errorCode.protocolError);
    }),
    must('Registration Request: U implies the prefix length 0xFF', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      for (const prefixLength of [16, 32]) {
        const cies = [cie({ protocolAddress: address(a.address), prefixLength })];
        await refused(setting, a, enter(a.address, [multipoint('x')], { cies }), errorCode.protocolError);
      }
    }),
    must('Registration Request: what is registered is answered from then on', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2, { silent: true })];
      assert.deepEqual(await a.codes(ask(a.address, b.address)), [cieCode.noBinding]);
      await b.register();
      assert.deepEqual(await a.codes(ask(a.address, b.address)), [cieCode.ok]);
    }),
    must('Registration Request: a binding is held for the holding time that was asked for', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2, { silent: true })];
      const cies = [cie({ protocolAddress: address(b.address), holdingTime: seconds(1234) })];
      const entered = await b.answer(enter(b.address, [multipoint('b')], { cies }), 'registration-reply');
      assert.equal(entered.body.cies[0]?.holdingTime, 1234);
      const found = await a.answer(ask(a.address, b.address), 'resolution-reply');
      assert.equal(found.body.cies[0]?.holdingTime, 1234);
    }),
    must('Registration Request: MTU and prefix of the CIE are kept and given to others', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const b = await setting.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      const cies = [cie({ protocolAddress: address('10.2.0.0'), prefixLength: 16, mtu: 1300 })];
      assert.deepEqual(await b.codes(enter(b.address, [], { unique: false, cies })), [0]);
      const [found] = (await a.answer(ask(a.address, '10.2.3.4'), 'resolution-reply')).body.cies;
      assert.deepEqual([found?.mtu, found?.prefixLength], [1300, 16]);
    }),
    must('Registration Request: a client that registers anew replaces what it said before', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      assert.deepEqual(await b.codes(enter(b.address, [multipoint('node-2', ['192.0.2.9:9'])])), [cieCode.ok]);
      const found = await a.answer(ask(a.address, b.address), 'resolution-reply');
      assert.deepEqual(found.body.cies[0]?.nbma, ['192.0.2.9:9']);
    }),
    may('Registration Request: without U an address is registered as not unique', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const cies = [cie({ protocolAddress: address(b.address) })];
      assert.deepEqual(await b.codes(enter(b.address, [], { unique: false, cies })), [cieCode.ok]);
      assert.deepEqual(await a.codes(ask(a.address, b.address, { unique: true })), [cieCode.notUnique]);
      assert.deepEqual(await a.codes(ask(a.address, b.address)), [cieCode.ok]);
      await b.register();
      assert.deepEqual(await a.codes(ask(a.address, b.address, { unique: true })), [cieCode.ok]);
    }),
    should('Registration Request: it is sent again after a third of the holding time', () => {
      const story = joinedSpoke();
      story.wait(0);
      const answered = () => {
        const requests = story.sent('registration-request');
        for (const { requestId, body } of requests) {
          const type = 'registration-reply' as const;
          story.hear({ type, unique: body.unique, cies: body.cies, observedEndpoint: undefined }, { requestId });
        }
        return requests.length;
      };
      story.wait(8000);
      answered();
      story.wait(2100 * 1000);
      assert.equal(answered(), 0);
      story.wait(300 * 1000);
      assert.ok(answered() > 0);
    }),
    exempt(
      'MUST',
      'Registration Request: a server that is not the destination forwards it',
      'All replicas are one server on one store: each takes the registration of any node.',
    ),
  ),
  ...section(
    '5.2.4',
    must('Registration Reply: code 14 for what another client has registered as its own', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1, { prefixes: [prefix('10.1.0.0/16')] });
      await setting.node(2, { prefixes: [prefix('10.1.2.0/24')] });
      assert.deepEqual(await a.codes(enter(a.address, [multipoint('node-2')])), [cieCode.alreadyRegistered]);
      assert.deepEqual(await a.codes(announce(a.address, ['10.1.2.0/24'])), [cieCode.alreadyRegistered]);
      assert.equal(setting.store.snapshot().nodeByKey.get(multipoint('node-2').publicKey), '0000000000000002');
    }),
    must('Registration Reply: code 4 for what the client may not register', async (t) => {
      const setting = await settingFor(t);
      const [a] = [await setting.node(1), await setting.node(2)];
      const cies = [cie({ protocolAddress: address('10.99.0.2') })];
      assert.deepEqual(await a.codes(enter(a.address, [multipoint('node-1')], { cies })), [cieCode.prohibited]);
      assert.deepEqual(await a.codes(announce(a.address, ['10.9.0.0/16'])), [cieCode.prohibited]);
    }),
    must('Registration Reply: code 5 for what cannot be stored', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      setting.store.setAway(true);
      const request = enter(a.address, [multipoint('new')]);
      a.session.say(request);
      const reply = await a.session.takeNhrp('registration-reply', request.requestId);
      assert.deepEqual(
        reply.body.cies.map(({ code, holdingTime }) => [code, holdingTime]),
        [[cieCode.noResources, 0]],
      );
      setting.store.setAway(false);
    }),
    must('Registration Reply: each CIE has its own code, in the order of the request', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1, { prefixes: [prefix('10.1.0.0/16')] });
      const b = await setting.node(2, { prefixes: [prefix('10.1.2.0/24')] });
      const request = announce(a.address, ['10.1.1.0/24', '10.1.2.0/24', '10.3.0.0/24', '10.1.3.0/24']);
      assert.deepEqual(await a.codes(request), [0, cieCode.alreadyRegistered, cieCode.prohibited, 0]);
      assert.deepEqual(await b.codes(ask(b.address, '10.1.3.1')), [cieCode.ok]);
    }),
    must('Registration Reply: a refused CIE has the holding time 0', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const reply = await a.answer(announce(a.address, ['10.3.0.0/24']), 'registration-reply');
      assert.equal(reply.body.cies[0]?.holdingTime, 0);
    }),
    must('Registration Reply: U is that of the request', async (t) => {
      const a = await (await settingFor(t)).node(1);
      for (const request of [enter(a.address, [multipoint('node-1')]), announce(a.address, [])])
        assert.equal((await a.answer(request, 'registration-reply')).body.unique, request.body.unique);
    }),
    must('Registration Reply: one that was not asked for is a protocol error', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const { body, ...header } = enter(a.address, []);
      const reply = { type: 'registration-reply', unique: true, cies: body.cies, observedEndpoint: undefined } as const;
      await refused(setting, a, { ...header, body: reply }, errorCode.protocolError);
    }),
  ),
];
