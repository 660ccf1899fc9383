// RFC 2332 5.2.5 and 5.2.6: purges.
import assert from 'node:assert/strict';
import { cieCode } from '#proto/model/nhrp.ts';
import { directSpoke, other } from '#test/support/agent-story.ts';
import { cie as entry, multipoint } from '#test/support/registry-fixtures.ts';
import { call } from '#test/support/registry-host.ts';
import { until } from '#test/support/poll.ts';
import { must, mustNot, section, should } from './requirement.ts';
import { announce, ask, enter, pairFor, prefix, purge, settingFor } from './setting.ts';

export const purges = [
  ...section(
    '5.2.5',
    must('Purge Request: all bindings inside the class are discarded', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const b = await setting.node(2, { prefixes: [prefix('10.2.0.0/16'), prefix('10.3.0.0/16')] });
      await b.codes(announce(b.address, ['10.2.1.0/24', '10.2.2.0/24', '10.3.0.0/16']));
      await b.answer(purge(b.address, ['10.2.0.0/16']), 'purge-reply');
      const found = [];
      for (const destination of ['10.2.1.1', '10.2.2.1', '10.3.0.1', b.address])
        found.push(...(await a.codes(ask(a.address, destination))));
      assert.deepEqual(found, [cieCode.noBinding, cieCode.noBinding, 0, 0]);
    }),
    must('Purge Request: a node that leaves takes all of its binding away', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const b = await setting.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      await b.answer(purge(b.address, [b.address]), 'purge-reply');
      for (const destination of ['10.2.1.1', b.address])
        assert.deepEqual(await a.codes(ask(a.address, destination)), [cieCode.noBinding]);
      assert.equal(setting.store.snapshot().nodeByKey.get(multipoint('node-2').publicKey), undefined);
    }),
    mustNot('Purge Request: it takes nothing away that is of others', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const b = await setting.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      await a.answer(purge(a.address, ['10.2.0.0/16', b.address]), 'purge-reply');
      for (const destination of ['10.2.1.1', b.address])
        assert.deepEqual(await a.codes(ask(a.address, destination)), [0]);
    }),
    must('Purge Request: a binding that changed or went is purged from all that were answered about it', async (t) => {
      const setting = await settingFor(t);
      const [a, b, c] = [await setting.node(1), await setting.node(2), await setting.node(3)];
      for (const asker of [a, b]) await asker.codes(ask(asker.address, c.address));
      assert.deepEqual(await c.codes(enter(c.address, [multipoint('moved')])), [0]);
      for (const asker of [a, b]) {
        const { body } = await asker.session.takeNhrp('purge-request');
        assert.deepEqual(
          body.cies.map(({ protocolAddress }) => protocolAddress),
          [c.address],
        );
      }
    }),
    must(
      'Purge Request: it is repeated with its request ID until it is acknowledged, and not afterwards',
      async (t) => {
        const setting = await settingFor(t);
        const [a, b] = [await setting.node(1), await setting.node(2)];
        await a.codes(ask(a.address, b.address));
        await b.codes(enter(b.address, [multipoint('moved')]));
        const first = await a.session.takeNhrp('purge-request');
        const second = await a.session.takeNhrp('purge-request', first.requestId);
        assert.deepEqual(second, first);
        // Another node's reply is no acknowledgement.
        b.session.say({ ...first, body: { ...first.body, type: 'purge-reply' } });
        await a.session.takeNhrp('purge-request', first.requestId);
        a.session.say({ ...first, body: { ...first.body, type: 'purge-reply' } });
        await a.codes(ask(a.address, '10.99.0.9'));
        const count = () =>
          a.session.received.filter((one) => one.type === 'nhrp' && one.message.body.type === 'purge-request').length;
        const before = count();
        const end = Date.now() + 4500;
        await until('the next repetition would have come', () => Date.now() > end, { within: 6000 });
        assert.equal(count(), before);
      },
    ),
    must('Purge Request: it reaches a node that another replica answered', async (t) => {
      const { one, two } = await pairFor(t);
      const [a, b] = [await one.node(1), await two.node(2)];
      const request = ask(a.address, b.address);
      a.session.say(request);
      await a.session.takeNhrp('resolution-reply', request.requestId);
      b.session.say(enter(b.address, [multipoint('moved')]));
      const { body } = await a.session.takeNhrp('purge-request');
      assert.deepEqual(
        body.cies.map(({ protocolAddress }) => protocolAddress),
        [b.address],
      );
    }),
    must('Purge Request: a node that is removed by the operator is purged', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      await a.codes(ask(a.address, b.address));
      await call(setting.registry.admin.revokeNode.bind(setting.registry.admin), { node: b.record.name });
      const { body } = await a.session.takeNhrp('purge-request');
      assert.ok(body.cies.some(({ protocolAddress }) => protocolAddress === b.address));
    }),
    must('Purge Request: a client discards all that it cached inside the class', () => {
      const story = directSpoke();
      const cies = [entry({ protocolAddress: other.address, prefixLength: 24 })];
      story.hear({ type: 'purge-request', noReply: false, cies }, { requestId: 9 });
      assert.equal(story.state.shortcuts.size, 0);
      assert.deepEqual(
        story.sent('purge-reply').map(({ requestId }) => requestId),
        [9],
      );
    }),
    should('Purge Request: its CIEs have the holding time 0, and 0xFF for one address', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      await a.codes(ask(a.address, b.address));
      await b.answer(purge(b.address, [b.address]), 'purge-reply');
      const { body } = await a.session.takeNhrp('purge-request');
      assert.deepEqual(
        body.cies.map(({ code, holdingTime, prefixLength }) => [code, holdingTime, prefixLength]),
        [[0, 0, 0xff]],
      );
    }),
    mustNot('Purge Request: with N there is no reply', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      assert.deepEqual(await b.answers(purge(b.address, [b.address], true)), []);
      assert.deepEqual(await a.codes(ask(a.address, b.address)), [cieCode.noBinding]);
      const story = directSpoke();
      story.hear({ type: 'purge-request', noReply: true, cies: [entry({ protocolAddress: other.address })] });
      assert.deepEqual([story.sent('purge-reply').length, story.state.shortcuts.size], [0, 0]);
    }),
  ),
  ...section(
    '5.2.6',
    must('Purge Reply: it is the request with its type changed', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const request = purge(a.address, ['10.2.0.0/16', '192.0.2.1']);
      const reply = await a.answer(request, 'purge-reply');
      assert.deepEqual(reply, { ...request, body: { ...request.body, type: 'purge-reply' } });
    }),
    must('Purge Reply: it comes also if nothing matched', async (t) => {
      const a = await (await settingFor(t)).node(1, { silent: true });
      for (const classes of [[], ['10.2.0.0/16'], [a.address]])
        await a.answer(purge(a.address, classes), 'purge-reply');
    }),
    must('Purge Reply: one that was not asked for is ignored', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const { body, ...header } = purge(a.address, [a.address]);
      assert.deepEqual(await a.answers({ ...header, body: { ...body, type: 'purge-reply' } }), []);
    }),
  ),
];
