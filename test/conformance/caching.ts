// RFC 2332 6.2 and 6.4: what a client may keep, and for how long. And DMVPN's traffic indication.
import assert from 'node:assert/strict';
import { announce, nothingAnnounced } from '#agent/decide/announce.ts';
import { cieCode } from '#proto/model/nhrp.ts';
import { defaultRouting } from '#proto/model/routing.ts';
import { address as parse, config, directSpoke, joinedSpoke, other, prefix, reply } from '#test/support/agent-story.ts';
import { cie } from '#test/support/registry-fixtures.ts';
import { exempt, must, mustNot, section, should } from './requirement.ts';
import { ask, purge, settingFor } from './setting.ts';

/** Any route of a routing protocol. */
const importAll = {
  protocol: undefined,
  table: 254,
  interfaces: [],
  prefixes: [],
  except: [],
  metric: undefined,
  preference: 0,
} as const;
const heard = { type: 'traffic-indication', contents: new Uint8Array(20).fill(0x45) } as const;

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
    must('What is being asked for is remembered, with its ID, and not asked for again', () => {
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
    must('A client keeps what it was answered for as long as it uses it', () => {
      const story = directSpoke();
      story.effects('send');
      for (let waited = 0; waited < 600_000; waited += 30_000) {
        story.wait(30_000);
        story.tell({ kind: 'activity', addresses: [other.address] });
      }
      assert.equal(story.state.shortcuts.size, 1);
      assert.equal(story.sent('resolution-request').length, 0);
    }),
    should('A server remembers whom it answered, so that it can purge', async (t) => {
      const setting = await settingFor(t);
      const [a, b, c] = [await setting.node(1), await setting.node(2), await setting.node(3)];
      await a.codes(ask(a.address, c.address));
      await c.answer(purge(c.address, [c.address]), 'purge-reply');
      await a.session.takeNhrp('purge-request');
      await b.codes(ask(b.address, '10.99.0.9'));
      assert.ok(!b.session.received.some((got) => got.type === 'nhrp' && got.message.body.type === 'purge-request'));
    }),
    exempt(
      'MUST',
      'Transit servers cache sources only with S and a holding time, destinations only with D, never sources of replies, and none longer than they hold',
      'Replicas cache nothing: they answer from the registrations in the store, so every answer is authoritative.',
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
    mustNot('There is no shortcut to a router whose own way leads back into the overlay', () => {
      // What its kernel has of a prefix may be what the overlay told to the routers of its site.
      const route = { prefix: prefix('10.3.0.0/16'), protocol: 188, table: 254, interfaces: ['eth1'], metric: 20 };
      const rules = { ...defaultRouting, import: [importAll] };
      const turn = { now: 0 as never, random: () => 0.5 };
      for (const [origin, announced] of [
        [undefined, [route.prefix]],
        ['other', []],
      ] as const) {
        const inputs = { prefixes: [], routing: rules, routes: [route], originOf: () => origin };
        assert.deepEqual([...announce(inputs, nothingAnnounced, turn).announcements.keys()], announced);
      }
      // And nobody is met for what is not announced.
      const story = joinedSpoke();
      const flags = { router: true, authoritativeOnly: true, unique: false, sourceStable: true };
      const body = { type: 'resolution-request', ...flags, cies: [cie()], target: other } as const;
      story.hear(body, { source: other.address, destination: parse('10.3.0.1') });
      assert.equal(story.state.remotes.size, 0);
    }),
  ),
];
