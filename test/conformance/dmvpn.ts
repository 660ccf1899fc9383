// DMVPN's traffic indication and shortcut, of which RFC 2332 knows nothing.
import assert from 'node:assert/strict';
import { errorCode } from '#proto/model/nhrp.ts';
import { config, directSpoke, joinedSpoke, other, prefix as parsePrefix, resolve } from '#test/support/agent-story.ts';
import { cie, message } from '#test/support/registry-fixtures.ts';
import { exempt, must, mustNot, section } from './requirement.ts';
import { newId, pairFor, prefix, settingFor, type Speaker } from './setting.ts';

const packet = new Uint8Array(20).fill(0x45);
const indicate = (hub: Speaker, source: string, destination: string): void => {
  const body = { type: 'traffic-indication', contents: packet } as const;
  hub.session.say(message(source, destination, body, { requestId: newId() }));
};
const indicated = (one: Speaker): string[] =>
  one.session.received.flatMap((got) =>
    got.type === 'nhrp' && got.message.body.type === 'traffic-indication' ? [got.message.destination] : [],
  );
export const dmvpn = [
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
    must(
      'Traffic Indication: it reaches a spoke whose session is with another server than that of the hub',
      async (t) => {
        const { one, two } = await pairFor(t);
        const hub = await two.node(8, { role: 'hub' });
        const [a, b] = [await one.node(1), await two.node(2)];
        indicate(hub, a.address, b.address);
        const seen = await a.session.takeNhrp('traffic-indication');
        assert.deepEqual([seen.source, seen.destination, seen.hopCount], [a.address, b.address, 14]);
      },
    ),
    must('Traffic Indication: from a node that is no hub: error 7; without hops: error 15', async (t) => {
      const setting = await settingFor(t);
      const hub = await setting.node(8, { role: 'hub' });
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const body = { type: 'traffic-indication', contents: packet } as const;
      for (const [sender, hopCount, code] of [
        [b, 16, errorCode.protocolError],
        [hub, 0, errorCode.hopCountExceeded],
      ] as const) {
        const said = message(a.address, b.address, body, { requestId: newId(), hopCount });
        const error = await sender.answer(said, 'error-indication');
        assert.deepEqual([error.body.code, error.destination], [code, sender.address]);
      }
      assert.deepEqual(indicated(a), []);
    }),
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
    mustNot('Shortcut: it is never wider than the route that it stands for', () => {
      const story = joinedSpoke();
      const flags = { router: true, authoritative: true, destinationStable: true, unique: false, sourceStable: true };
      for (const prefixLength of [1, 15]) {
        story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: '192.168.2.7' as never });
        const [request] = story.sent('resolution-request');
        const body = { type: 'resolution-reply', ...flags, cies: [cie({ prefixLength })], target: other } as const;
        story.hear(body, { requestId: request?.requestId ?? 1, destination: '192.168.2.7' as never });
        assert.equal(story.state.shortcuts.size, 0);
      }
    }),
    mustNot('Cache: an entry of a lower type replaces none of a higher one', () => {
      const story = directSpoke();
      const third = { ...other, node: 'dddddddddddddddd' as never, address: '10.9.0.12' as never };
      const flags = { router: true, authoritativeOnly: true, unique: false, sourceStable: true };
      const body = { type: 'resolution-request', ...flags, cies: [cie()], target: third } as const;
      story.hear(body, { source: other.address, destination: config.address });
      assert.deepEqual(
        [...story.state.shortcuts.values()].map(({ node }) => node),
        [other.node],
      );
      const own = { source: '192.168.1.7' as never, destination: config.address };
      story.hear(body, own);
      assert.equal(story.state.shortcuts.size, 1);
    }),
    must('Shortcut: it goes with the route that it stands for', () => {
      const story = directSpoke();
      const summaries = [parsePrefix('192.168.0.0/16')];
      story.tell({ kind: 'message', message: { type: 'overlay-config', config: { ...config, summaries } } });
      assert.equal(story.state.shortcuts.size, 0);
    }),
    must('Shortcut: a failed tunnel leaves the traffic on the hub, and is tried again ever more seldom', () => {
      const story = joinedSpoke();
      const waits: number[] = [];
      for (let tries = 0; tries < 3; tries++) {
        resolve(story, other);
        story.wait(2000);
        const remote = story.state.remotes.get(other.node);
        assert.equal(remote?.phase, 'failed');
        assert.ok(story.routes().includes('10.9.0.0/24 dmwg-h1'));
        waits.push(remote.retryAt - remote.since);
        story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
        assert.equal(story.sent('resolution-request').length, 0, 'not before its time');
        story.wait(remote.retryAt - story.now);
      }
      assert.deepEqual(waits, [5000, 10_000, 20_000]);
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
