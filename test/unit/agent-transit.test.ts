// What a hub passes on to another hub.
import assert from 'node:assert/strict';
import test from 'node:test';
import { desiredBfd } from '#agent/decide/desired-bfd.ts';
import { desiredHost } from '#agent/decide/desired.ts';
import { reachLinks } from '#agent/decide/transit.ts';
import { nextWake } from '#agent/decide/wake.ts';
import { linkAddress } from '#proto/model/key.ts';
import type { Instant } from '#proto/model/time.ts';
import {
  address,
  config,
  endpoint,
  hubPeer,
  hubs,
  key,
  nodeId,
  nodeName,
  prefix,
  Story,
} from '#test/support/agent-story.ts';

const [spoke, otherHub] = [nodeId('c'), nodeId('b')];

/** Hub a; b is another one, c a spoke with a LAN. */
function hub(): Story {
  const story = new Story('hub');
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  const overlay = { ...config, address: address('10.9.0.1'), hubs: hubs.slice(1), prefixes: [] };
  story.tell({ kind: 'message', message: { type: 'overlay-config', config: overlay } });
  const all = { snapshot: true, remove: [], complete: true } as const;
  story.tell({ kind: 'message', message: { type: 'peer-sync', ...all, upsert: [hubPeer()] } });
  const route = (text: string, node: string) => ({
    prefix: prefix(text),
    origins: [{ node: nodeId(node), name: nodeName('any'), preference: 0 }],
  });
  const upsert = [route('192.168.2.0/24', 'c'), route('172.16.0.0/24', 'c'), route('192.168.9.0/24', 'b')];
  story.tell({ kind: 'message', message: { type: 'route-sync', ...all, upsert } });
  return story;
}

function settled(): Story {
  const story = hub();
  story.bfd(`hub:${otherHub}`, 'up');
  story.now += 3000;
  story.tell({ kind: 'tick' });
  return story;
}

function says(story: Story, up: string, down = ''): void {
  const ids = (letters: string) => Array.from(letters, (letter) => nodeId(letter));
  story.tell({ kind: 'reach', reach: { hub: otherHub, snapshot: down === '', up: ids(up), down: ids(down) } });
}

/** Where the spoke's address and its prefixes go. */
function ways(story: Story): string[] {
  return story.routes().filter((line) => /^(10\.9\.0\.11|192\.168\.2|172\.16)/.test(line));
}

const here = ['172.16.0.0/24 dmwg0'];
const there = ['10.9.0.11/32 dmwg-h1', '172.16.0.0/24 dmwg-h1', '192.168.2.0/24 dmwg-h1'];

test('a hub has a tunnel to every other hub, at which it is found as at its public address', () => {
  const story = hub();
  const host = desiredHost(story.state);
  const peers = [...(host.interfaces.get('dmwg-h1')?.peers.values() ?? [])];
  assert.deepEqual(
    peers.map(({ publicKey, endpoint: at }) => [publicKey, at]),
    [[key('I'), endpoint('192.0.2.2:51820')]],
  );
  assert.equal(host.interfaces.get('dmwg0')?.peers.has(key('I')), false);
  assert.equal(desiredBfd(story.state, 0 as Instant).get(`hub:${otherHub}`)?.role, 'active');
  const sent = story.effects('send').flatMap(({ message }) => (message.type === 'nhrp' ? [message.message.body] : []));
  const tunnels = sent.flatMap((body) => (body.type === 'registration-request' ? body.interfaces : []));
  const tunnel = tunnels.find(({ kind }) => kind === 'hub-tunnel');
  assert.equal(tunnel?.hub, otherHub);
  assert.match(tunnel.endpoints.join(), /^192\.0\.2\.1:2\d{4}$|^192\.0\.2\.1:3[01]\d{3}$/);
  assert.deepEqual(host.firewall?.apart, ['dmwg-h1']);
});

test("what is another hub's own goes by the tunnel to it", () => {
  const routes = hub().routes();
  assert.ok(routes.includes('10.9.0.2/32 dmwg-h1'), routes.join('\n'));
  assert.ok(routes.includes('192.168.9.0/24 dmwg-h1'), routes.join('\n'));
});

test('what only another hub reaches goes by it, and comes back when the spoke is Up here', () => {
  const story = settled();
  assert.deepEqual(ways(story), here);
  says(story, 'cd');
  assert.deepEqual(ways(story), there);
  story.bfd(`spoke:${spoke}`, 'up');
  assert.deepEqual(ways(story), here);
  story.bfd(`spoke:${spoke}`, 'down');
  assert.deepEqual(ways(story), there);
  says(story, '', 'c');
  assert.deepEqual(ways(story), here, 'neither reaches it');
  says(story, 'c');
  says(story, 'd');
  assert.deepEqual(ways(story), here, 'a new list has no c');
});

test('a hub that was just started waits for its spokes', () => {
  const story = hub();
  story.bfd(`hub:${otherHub}`, 'up');
  says(story, 'c');
  assert.deepEqual(ways(story), here);
  const wake = nextWake(story.state, story.now as Instant);
  assert.ok(wake !== undefined && wake <= story.now + 3000);
  story.now += 3000;
  story.tell({ kind: 'tick' });
  assert.deepEqual(ways(story), there);
});

test('what went by a hub whose agent falls silent stays there', () => {
  const story = settled();
  says(story, 'c');
  story.bfd(`hub:${otherHub}`, 'down');
  assert.deepEqual(ways(story), there);
  story.bfd(`hub:${otherHub}`, 'up');
  assert.deepEqual(ways(story), there);
});

test('hubs tell each other over both ends of their tunnel; a spoke tells nobody', () => {
  const story = hub();
  const own = story.state.interfaces.get('dmwg-h1')?.publicKey ?? key('Z');
  const link = (one: ReturnType<typeof key>) => linkAddress(config.linkPrefix, one);
  assert.deepEqual([...reachLinks(story.state)], [[otherHub, { local: link(own), remote: link(key('I')), up: false }]]);
  story.bfd(`hub:${otherHub}`, 'up');
  assert.equal(reachLinks(story.state).get(otherHub)?.up, true);
  assert.equal(reachLinks(new Story('spoke').state).size, 0);
});

test('what comes from another hub goes to the spoke itself, whatever is believed of it', () => {
  const story = settled();
  const { rules } = desiredHost(story.state);
  assert.deepEqual(
    [...rules.values()].map(({ family, from, table }) => ({ family, from, table })),
    [{ family: 4, from: 'dmwg-h1', table: 10_908 }],
  );
  assert.deepEqual(story.routes(10_908), []);
  says(story, 'c');
  assert.deepEqual(story.routes(10_908), ['10.9.0.11/32 dmwg0', '172.16.0.0/24 dmwg0', '192.168.2.0/24 dmwg0']);
});
