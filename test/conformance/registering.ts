// RFC 2332 5.2.3 to 5.2.6: what a client says of itself, and how it is answered.
import assert from 'node:assert/strict';
import { restore, save } from '#agent/decide/restore.ts';
import { cieCode, errorCode } from '#proto/model/nhrp.ts';
import type { Instant } from '#proto/model/time.ts';
import { config, directSpoke, joinedSpoke, other, selfOf, Story } from '#test/support/agent-story.ts';
import { serverOf } from '#registry/decide/transit.ts';
import { cie as entry, multipoint, overlayRecord } from '#test/support/registry-fixtures.ts';
import { must, mustNot, section, should } from './requirement.ts';
import { address, announce, ask, cie, enter, prefix, purge, refused, settingFor } from './setting.ts';

/** The first registrations of a spoke. */
function fresh() {
  const story = new Story('spoke');
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  story.tell({ kind: 'message', message: { type: 'overlay-config', config } });
  return { story, requests: story.sent('registration-request') };
}

export const registering = [
  ...section(
    '5.2.3',
    must('Registration Request: a CIE without an address is about the source', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const b = await setting.node(2, { silent: true });
      assert.deepEqual(await b.codes(enter(b.address, [multipoint('b')], { cies: [cie()] })), [cieCode.ok]);
      assert.deepEqual(await a.codes(ask(a.address, b.address, { unique: true })), [cieCode.ok]);
      assert.deepEqual(await b.codes(enter(b.address, [], { unique: false, cies: [cie()] })), [cieCode.ok]);
      assert.deepEqual(await a.codes(ask(a.address, b.address, { unique: true })), [cieCode.notUnique]);
    }),
    must('Registration Request: its request ID outlives a crash of the client', () => {
      const { story, requests } = fresh();
      const used = requests.map(({ requestId }) => requestId);
      const turn = { now: 0 as Instant, random: () => 0.5, effects: [] };
      const again = new Story('spoke');
      again.state = restore(selfOf('spoke'), save(story.state), turn);
      again.tell({ kind: 'connected', endpoint: 'registry:7443' });
      for (const own of again.state.interfaces.values())
        again.tell({ kind: 'key-made', interface: own.name, publicKey: other.publicKey });
      const ids = again.sent('registration-request').map(({ requestId }) => requestId);
      assert.ok(ids.length > 0 && Math.min(...ids) > Math.max(...used) + 100);
    }),
    must('Registration Request: it is repeated, as it was and with its ID, until it is answered', () => {
      const { story, requests } = fresh();
      story.wait(3500);
      const repeated = story.sent('registration-request');
      assert.ok(repeated.length >= requests.length);
      for (const one of repeated)
        assert.deepEqual(
          one,
          requests.find(({ requestId }) => requestId === one.requestId),
        );
    }),
    must('Registration Request: a client that knows no address of a server sends it to its own', () => {
      const { requests } = fresh();
      assert.ok(requests.length > 0);
      for (const { source, destination } of requests)
        assert.deepEqual([source, destination], [config.address, config.address]);
    }),
    should('Registration Request: the codes of its CIEs are 0, U and 0xFF are set for the own address', () => {
      const { requests } = fresh();
      assert.ok(requests.every(({ body }) => body.cies.every(({ code }) => code === 0)));
      const own = requests.filter(({ body }) => body.cies.some((one) => one.protocolAddress === config.address));
      assert.deepEqual(
        own.map(({ body }) => [body.unique, body.cies.length, body.cies[0]?.prefixLength]),
        [[true, 1, 0xff]],
      );
    }),
  ),
  ...section(
    '5.2.4',
    must('Registration Reply: it is the request with its type and the codes changed', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1, { prefixes: [prefix('10.1.0.0/16')] });
      for (const request of [
        enter(a.address, [multipoint('node-1')]),
        announce(a.address, ['10.1.0.0/16', '10.5.0.0/16']),
      ]) {
        const reply = await a.answer(request, 'registration-reply');
        const { source, destination, requestId } = request;
        assert.deepEqual([reply.source, reply.destination, reply.requestId], [source, destination, requestId]);
        const same = ({ code: _, holdingTime: __, ...rest }: ReturnType<typeof cie>) => rest;
        assert.deepEqual(reply.body.cies.map(same), request.body.cies.map(same));
      }
    }),
    should('Registration Reply: an error ends the request, which is made anew later', () => {
      const { story, requests } = fresh();
      const code = errorCode.protocolError;
      for (const { requestId } of requests)
        story.hear({ type: 'error-indication', code, offset: 0, contents: new Uint8Array() }, { requestId });
      assert.deepEqual([...new Set(story.state.registration.refused)], ['error 7']);
      story.wait(4000);
      assert.equal(story.sent('registration-request').length, 0);
      story.wait(10_000);
      assert.ok(story.sent('registration-request').length > 0);
    }),
  ),
  ...section(
    '5.2.5',
    must('Purge Request: each CIE has the address that is to be purged: error 7', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const request = purge(a.address, [a.address]);
      const body = { ...request.body, cies: [...request.body.cies, entry()] };
      await refused(setting, a, { ...request, body }, errorCode.protocolError);
      const story = directSpoke();
      story.hear({ type: 'purge-request', noReply: false, cies: [entry()] }, { requestId: 9 });
      assert.equal(story.sent('error-indication')[0]?.body.code, errorCode.protocolError);
      assert.equal(story.state.shortcuts.size, 1);
    }),
    must('Purge Request: its CIEs have neither MTU nor preference', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      await a.codes(ask(a.address, b.address));
      await b.answer(purge(b.address, [b.address]), 'purge-reply');
      const { body } = await a.session.takeNhrp('purge-request');
      assert.deepEqual(
        body.cies.map(({ mtu, preference, protocolAddress }) => [mtu, preference, protocolAddress]),
        [[0, 0, b.address]],
      );
    }),
    must('Purge Request: one of a server has its own source, and the client as the destination', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      await a.codes(ask(a.address, b.address));
      await b.answer(purge(b.address, [b.address]), 'purge-reply');
      const { source, destination } = await a.session.takeNhrp('purge-request');
      assert.deepEqual([source, destination], [serverOf(overlayRecord(), { id: 'replica-1' })[4], a.address]);
    }),
    should('Purge Request: what was purged is asked for again by authoritative requests', () => {
      const story = directSpoke();
      story.hear({ type: 'purge-request', noReply: false, cies: [entry({ protocolAddress: other.address })] });
      story.wait(30_000);
      story.effects('send');
      story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
      assert.equal(story.sent('resolution-request')[0]?.body.authoritativeOnly, true);
    }),
  ),
  ...section(
    '5.2.6',
    mustNot('Purge Reply: there is none from a client that does not understand the request: error 1', () => {
      const story = directSpoke();
      const unknown = [{ type: 0x1234, compulsory: true, value: new Uint8Array() }];
      const cies = [entry({ protocolAddress: other.address })];
      story.hear({ type: 'purge-request', noReply: false, cies }, { requestId: 9, extensions: unknown });
      const sent = story
        .effects('send')
        .flatMap(({ message }) => (message.type === 'nhrp' ? [message.message.body] : []));
      assert.deepEqual(
        sent.map((body) => body.type === 'error-indication' && body.code),
        [errorCode.unrecognisedExtension],
      );
      assert.equal(story.state.shortcuts.size, 1);
    }),
  ),
  ...section(
    '5.2.7',
    should('A message that a client never gets: error 7', () => {
      const story = joinedSpoke();
      story.hear({ type: 'registration-request', unique: true, cies: [], interfaces: [], additive: false });
      assert.equal(story.sent('error-indication')[0]?.body.code, errorCode.protocolError);
    }),
    must('An error about a request ends it, and it is not repeated', () => {
      const story = joinedSpoke();
      story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: address('10.9.0.12') });
      const [request] = story.sent('resolution-request');
      assert.ok(request);
      const body = {
        type: 'error-indication',
        code: errorCode.protocolError,
        offset: 0,
        contents: new Uint8Array(),
      } as const;
      story.hear(body, { requestId: request.requestId });
      story.wait(20_000);
      assert.equal(story.sent('resolution-request').length, 0);
    }),
  ),
];
