// RFC 2332 6.2 and 6.4: what a client may keep, and for how long. And DMVPN's traffic indication.
import assert from 'node:assert/strict';
import { cieCode } from '#proto/model/nhrp.ts';
import {
  address as parse,
  config,
  directSpoke,
  joinedSpoke,
  other,
  reply,
  resolve,
} from '#test/support/agent-story.ts';
import { cie, message } from '#test/support/registry-fixtures.ts';
import { exempt, must, mustNot, section, should } from './requirement.ts';
import { newId, prefix, settingFor, type Speaker } from './setting.ts';

const packet = new Uint8Array(20).fill(0x45);
const indicate = (hub: Speaker, source: string, destination: string): void => {
  const body = { type: 'traffic-indication', contents: packet } as const;
  hub.session.say(message(source, destination, body, { requestId: newId() }));
};
const indicated = (one: Speaker): string[] =>
  one.session.received.flatMap((got) =>
    got.type === 'nhrp' && got.message.body.type === 'traffic-indication' ? [got.message.destination] : [],
  );
const heard = { type: 'traffic-indication', contents: packet } as const;

export const caching = [
  ...section(
    '6.2.1',
    mustNot('A client keeps no binding longer than its holding time', () => {
      const story = joinedSpoke();
      story.hear(heard, { destination: other.address });
      const [request] = story.sent('resolution-request');
      reply(story, request?.requestId ?? 0, other, 0, 60);
      assert.equal(story.state.shortcuts.size, 1);
      story.wait(61_000);
      assert.equal(story.state.shortcuts.size, 0);
    }),
    mustNot('A binding that came with a request is cached only with S and a holding time', () => {
      for (const [sourceStable, holding, cached] of [
        [true, 60, 1],
        [true, 0, 0],
        [false, 60, 0],
      ] as const) {
        const story = joinedSpoke();
        const flags = { router: true, authoritativeOnly: false, unique: false, sourceStable };
        const body = {
          type: 'resolution-request',
          ...flags,
          cies: [cie({ holdingTime: holding as never })],
          target: other,
        } as const;
        story.hear(body, { source: other.address, destination: config.address });
        assert.equal(story.state.shortcuts.size, cached);
      }
    }),
    should('What was refused is remembered for the negative holding time', () => {
      const story = joinedSpoke();
      story.hear(heard, { destination: other.address });
      const [request] = story.sent('resolution-request');
      reply(story, request?.requestId ?? 0, undefined, cieCode.noBinding);
      story.wait(29_000);
      story.hear(heard, { destination: other.address });
      assert.equal(story.sent('resolution-request').length, 0);
      story.wait(2000);
      story.hear(heard, { destination: other.address });
      assert.equal(story.sent('resolution-request').length, 1);
    }),
    should('What is being asked for is not asked for again', () => {
      const story = joinedSpoke();
      for (let times = 0; times < 5; times++) story.hear(heard, { destination: other.address });
      assert.equal(story.sent('resolution-request').length, 1);
    }),
    should('A binding that is in use is asked for again before it expires', () => {
      const story = directSpoke();
      story.effects('send');
      const half = 3_500_000;
      story.wait(half);
      assert.equal(story.sent('resolution-request').length, 0);
      story.tell({ kind: 'activity', addresses: [other.address] });
      for (let waited = 0; waited < 1_500_000; waited += 30_000) {
        story.wait(30_000);
        story.tell({ kind: 'activity', addresses: [other.address] });
      }
      assert.ok(story.sent('resolution-request').length > 0);
    }),
    exempt(
      'MUST',
      'Transit servers may cache what they see in replies, as not authoritative',
      'Replies pass no server. All that a replica answers is registered, so every answer is authoritative.',
    ),
  ),
  ...section(
    '6.2.2',
    must('A client whose binding was replaced by a refusal drops it', () => {
      const story = directSpoke();
      story.effects('send');
      story.tell({ kind: 'disconnected' });
      story.tell({ kind: 'connected', endpoint: 'registry:7443' });
      const [request] = story.sent('resolution-request');
      assert.ok(request, 'a new session asks again for what is cached');
      reply(story, request.requestId, undefined, cieCode.noBinding);
      assert.equal(story.state.shortcuts.size, 0);
    }),
  ),
  ...section(
    '6.4',
    must('Traffic that came in from the overlay never triggers a request (domino effect)', () => {
      const story = joinedSpoke();
      story.hear(heard, { source: parse('192.168.77.1'), destination: other.address });
      story.hear(heard, { source: other.address, destination: parse('192.168.77.1') });
      assert.equal(story.sent('resolution-request').length, 0);
    }),
  ),
  ...section(
    '6.1',
    exempt(
      'MUST',
      'Router to router: replies are checked for stable routing loops',
      'The prefixes of an overlay are claimed for one node each; there is no routing protocol that could lead them back into it, and a shortcut is never wider than the route that it replaces.',
    ),
  ),
  ...section(
    'DMVPN',
    must(
      'Traffic Indication: it reaches the source spoke, with the head of the packet; the hub gets no answer',
      async (t) => {
        const setting = await settingFor(t);
        const hub = await setting.node(8, { role: 'hub' });
        const [a, b] = [await setting.node(1), await setting.node(2)];
        indicate(hub, a.address, b.address);
        const seen = await a.session.takeNhrp('traffic-indication');
        assert.deepEqual([seen.source, seen.destination, [...seen.body.contents]], [a.address, b.address, [...packet]]);
        assert.deepEqual([indicated(hub), indicated(b)], [[], []]);
      },
    ),
    mustNot(
      'Traffic Indication: it goes to nobody from a spoke, for multicast, for the hub itself, or within one node',
      async (t) => {
        const setting = await settingFor(t);
        const hub = await setting.node(8, { role: 'hub' });
        const a = await setting.node(1, { prefixes: [prefix('10.1.0.0/16')] });
        const b = await setting.node(2);
        indicate(b, a.address, b.address);
        for (const destination of ['239.1.1.1', hub.address, '10.1.0.9', '203.0.113.7'])
          indicate(hub, a.address, destination);
        indicate(hub, '203.0.113.7', b.address);
        indicate(hub, '10.1.0.9', b.address);
        await a.session.takeNhrp('traffic-indication');
        assert.deepEqual([indicated(a), indicated(b), indicated(hub)], [[b.address], [], []]);
      },
    ),
    mustNot('Traffic Indication: in phase 1 there is none', async (t) => {
      const setting = await settingFor(t, { overlay: { phase: 1 } });
      const hub = await setting.node(8, { role: 'hub' });
      const [a, b] = [await setting.node(1), await setting.node(2)];
      indicate(hub, a.address, b.address);
      await hub.answers(
        message(hub.address, hub.address, { type: 'purge-request', noReply: false, cies: [] }, { requestId: newId() }),
      );
      assert.deepEqual(indicated(a), []);
    }),
    must('Traffic Indication: the same pair is indicated once in a while only', async (t) => {
      const setting = await settingFor(t);
      const hub = await setting.node(8, { role: 'hub' });
      const [a, b, c] = [await setting.node(1), await setting.node(2), await setting.node(3)];
      for (let times = 0; times < 20; times++) indicate(hub, a.address, b.address);
      indicate(hub, a.address, c.address);
      await a.session.takeNhrp('traffic-indication', undefined);
      await hub.answers(
        message(hub.address, hub.address, { type: 'purge-request', noReply: false, cies: [] }, { requestId: newId() }),
      );
      await a.answers(
        message(a.address, a.address, { type: 'purge-request', noReply: false, cies: [] }, { requestId: newId() }),
      );
      assert.deepEqual(indicated(a), [b.address, c.address]);
    }),
    must('Shortcut: its route is there only while its tunnel works, and the hub carries the traffic meanwhile', () => {
      const story = joinedSpoke();
      resolve(story, other);
      assert.ok(!story.routes().some((route) => route.startsWith('10.9.0.11/32')));
      story.wait(25);
      story.bfd(`direct:${other.node}`, 'up');
      assert.ok(story.routes().includes('10.9.0.11/32 dmwg0'));
      story.bfd(`direct:${other.node}`, 'down');
      assert.ok(!story.routes().some((route) => route.startsWith('10.9.0.11/32')));
      assert.ok(story.routes().includes('10.9.0.0/24 dmwg-h1'));
    }),
    must('Shortcut: one that carries no traffic goes', () => {
      const story = directSpoke();
      story.wait(config.idleTimeout * 1000 - 1000);
      story.tell({ kind: 'activity', addresses: [] });
      assert.equal(story.state.shortcuts.size, 1);
      story.wait(2000);
      story.tell({ kind: 'activity', addresses: [] });
      assert.equal(story.state.shortcuts.size, 0);
    }),
    exempt(
      'MUST',
      'Packets of NHRP are understood by routers of other makers',
      'gRPC carries the messages. proto/nhrp maps them to packets and back for a gateway; nothing was tested on a Cisco device.',
    ),
  ),
];
