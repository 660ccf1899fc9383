// RFC 2332 2.2, 3, 4 and 5: who sends what to whom, and what all messages consist of.
import assert from 'node:assert/strict';
import { encodeNodeMessage } from '#proto/codec/session.ts';
import { cieCode, errorCode } from '#proto/model/nhrp.ts';
import { seconds } from '#proto/model/time.ts';
import { directSpoke, joinedSpoke, other, reply } from '#test/support/agent-story.ts';
import { authority, issue } from '#test/support/pki.ts';
import { multipoint } from '#test/support/registry-fixtures.ts';
import { overlayName } from '#test/support/registry-host.ts';
import { exempt, may, must, mustNot, section, should } from './requirement.ts';
import { announce, ask, cie, enter, pairFor, prefix, settingFor } from './setting.ts';

const heard = { type: 'traffic-indication', contents: new Uint8Array() } as const;

export const deployment = [
  ...section(
    '2.2',
    mustNot('Not every packet makes a request: neither before the answer nor after it', () => {
      const story = directSpoke();
      story.effects('send');
      for (let times = 0; times < 5; times++) story.hear(heard, { destination: other.address });
      assert.equal(story.sent('resolution-request').length, 0);
    }),
    mustNot('A server answers no authoritative request by what it only saw in requests of others', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2, { silent: true })];
      const stable = { sourceStable: true, cies: [cie({ holdingTime: seconds(600) })] };
      await b.answer(ask(b.address, a.address, stable), 'resolution-reply');
      for (const authoritativeOnly of [true, false])
        assert.deepEqual(await a.codes(ask(a.address, b.address, { authoritativeOnly })), [cieCode.noBinding]);
    }),
    must('A request that a server cannot pass on is answered all the same', async (t) => {
      const { one, two } = await pairFor(t);
      const [a, b] = [await one.node(1), await two.node(2)];
      await two.registry.serving.stop();
      const found = await a.answer(ask(a.address, b.address), 'resolution-reply');
      assert.deepEqual([found.body.cies[0]?.code, found.body.target?.rendezvous], [cieCode.ok, undefined]);
    }),
    must('Registration and purge are answered on the connection that they came by', async (t) => {
      const { one, two } = await pairFor(t);
      const [a, b] = [await one.node(1), await two.node(2)];
      await b.answer(enter(b.address, [multipoint('node-2')]), 'registration-reply');
      await a.codes(ask(a.address, '10.99.0.9'));
      assert.ok(a.session.received.every((got) => got.type !== 'nhrp' || got.message.source !== b.address));
    }),
    mustNot('Nothing crosses the border of the overlay', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      assert.deepEqual(await a.codes(ask(a.address, '198.51.100.7')), [cieCode.noBinding]);
      const foreign = await issue(await authority(overlayName), {
        kind: 'node',
        overlay: overlayName,
        id: a.record.id,
      });
      const session = setting.registry.connect(foreign);
      await session.ended();
      assert.deepEqual(session.received, []);
    }),
  ),
  ...section(
    '3',
    must('A server that serves a node hands it messages itself, by no other server', async (t) => {
      const { one } = await pairFor(t);
      const [a, b] = [await one.node(1), await one.node(2)];
      const request = ask(a.address, b.address);
      a.session.say(request);
      assert.equal((await b.session.takeNhrp('resolution-request', request.requestId)).hopCount, request.hopCount - 1);
    }),
    should('What one server learned by a registration the others know as well', async (t) => {
      const { one, two } = await pairFor(t);
      const a = await one.node(1);
      const b = await two.node(2, { prefixes: [prefix('10.2.0.0/16')] });
      for (const destination of [b.address, '10.2.0.1']) {
        const request = ask(a.address, destination, { authoritativeOnly: true });
        a.session.say(request);
        const { body } = await a.session.takeNhrp('resolution-reply', request.requestId);
        assert.deepEqual([body.cies[0]?.code, body.authoritative], [cieCode.ok, true]);
      }
    }),
    should('A client that gets no direct path goes on along the routed one', () => {
      const story = joinedSpoke();
      story.hear(heard, { destination: other.address });
      const [request] = story.sent('resolution-request');
      reply(story, request?.requestId ?? 1, { ...other, rendezvous: undefined });
      assert.equal(story.state.remotes.get(other.node)?.phase, 'failed');
      assert.ok(story.routes().includes('10.9.0.0/24 dmwg-h1'));
    }),
    exempt(
      'MUST NOT',
      'An address of a group of servers is not used for requests',
      'A server is reached by a host and a port, over a connection with its certificate; there are no group addresses.',
    ),
  ),
  ...section(
    '4',
    may('A client is configured with the addresses of its servers', () => {
      const story = joinedSpoke();
      story.tell({ kind: 'disconnected' });
      story.tell({ kind: 'connected', endpoint: 'another:7443' });
      story.wait(0);
      assert.ok(story.sent('registration-request').length > 0, 'it registers with whichever it has a session with');
    }),
  ),
  ...section(
    '5',
    must('A message has a mandatory part', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const request = ask(a.address, '10.99.0.9');
      const wire = encodeNodeMessage({ type: 'nhrp', message: request });
      assert.ok(wire.body?.$case === 'nhrp');
      a.session.write({ body: { $case: 'nhrp', value: { ...wire.body.value, body: undefined } } });
      const error = await a.session.takeNhrp('error-indication', request.requestId);
      assert.equal(error.body.code, errorCode.protocolError);
      await a.answer(announce(a.address, []), 'registration-reply');
    }),
    exempt(
      'MUST',
      'Unused fields are zero when sent, and ignored when received',
      'gRPC has none; what a newer version adds is skipped. The packet codec in proto/nhrp has them, with tests of its own.',
    ),
  ),
];
