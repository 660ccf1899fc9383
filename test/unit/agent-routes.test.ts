// Prefixes that others announce, on a spoke and on a hub.
import assert from 'node:assert/strict';
import test from 'node:test';
import { desiredHost } from '#agent/decide/desired.ts';
import { isSafe } from '#agent/decide/pass.ts';
import type { Prefix } from '#proto/model/address.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import type { RegistryMessage } from '#proto/model/session.ts';
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

type RouteSync = Extract<RegistryMessage, { type: 'route-sync' }>;

function route(text: string, ...nodes: string[]): LearnedRoute {
  const origins = nodes.map((node) => ({ node: nodeId(node), name: nodeName(`node-${node}`), preference: 0 }));
  return { prefix: prefix(text), origins };
}

function tell(story: Story, upsert: readonly LearnedRoute[], parts: Partial<RouteSync> = {}): void {
  const sync: RouteSync = { type: 'route-sync', snapshot: false, upsert, remove: [], complete: true, ...parts };
  story.tell({ kind: 'message', message: sync });
}

function spoke(count = 1): Story {
  const story = new Story();
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  const message = { type: 'overlay-config', config: { ...config, hubs: hubs.slice(0, count) } } as const;
  story.tell({ kind: 'message', message });
  for (const { node } of hubs.slice(0, count)) story.bfd(`hub:${node}`, 'up');
  return story;
}

const summaries = ['10.9.0.0/24 dmwg-h1', '192.168.0.0/16 dmwg-h1'];

test('what no summary covers goes to the hub from when it is told until it is withdrawn', () => {
  const story = spoke();
  tell(story, [route('172.16.0.0/24', 'c')], { snapshot: true });
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg-h1', '172.16.0.0/24 dmwg-h1', '192.168.0.0/16 dmwg-h1']);
  tell(story, [route('172.17.0.0/24', 'c')], { remove: [prefix('172.16.0.0/24')] });
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg-h1', '172.17.0.0/24 dmwg-h1', '192.168.0.0/16 dmwg-h1']);
});

test('a full list in parts counts when it is complete; a new session begins anew', () => {
  const story = spoke();
  tell(story, [route('172.16.0.0/24', 'c')], { snapshot: true });
  tell(story, [route('172.18.0.0/24', 'c')], { snapshot: true, complete: false });
  assert.ok(story.routes().includes('172.16.0.0/24 dmwg-h1'));
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  tell(story, [route('172.19.0.0/24', 'c')], { snapshot: true });
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg-h1', '172.19.0.0/24 dmwg-h1', '192.168.0.0/16 dmwg-h1']);
});

test('what is behind another connected hub goes by its own tunnel', () => {
  const story = spoke(2);
  tell(story, [route('192.168.9.0/24', 'b')], { snapshot: true });
  assert.deepEqual(story.routes().sort(), ['10.9.0.2/32 dmwg-h2', '192.168.9.0/24 dmwg-h2', ...summaries].sort());
});

test('a hub that was not told what is announced leaves what is there', () => {
  const story = new Story('hub');
  const message = { type: 'overlay-config', config: { ...config, hubs: [], prefixes: [] } } as const;
  story.tell({ kind: 'message', message });
  const sync = { type: 'peer-sync', snapshot: true, upsert: [hubPeer()], remove: [], complete: true } as const;
  story.tell({ kind: 'message', message: sync });
  const peer = { publicKey: key('P'), endpoint: undefined, allowedIps: new Set([prefix('10.1.0.0/16')]) };
  const bare = { ...peer, keepalive: 0 as never };
  const change = {
    kind: 'update-peer',
    interface: 'dmwg0',
    from: bare,
    to: { ...bare, allowedIps: new Set<Prefix>() },
  } as const;
  assert.equal(isSafe(story.state, desiredHost(story.state), change), false);
  tell(story, [], { snapshot: true });
  assert.equal(isSafe(story.state, desiredHost(story.state), change), true);
});

/** A hub with the spokes c and d, both behind 10.7.0.0/16. */
function site(preferences: readonly [number, number]): Story {
  const story = new Story('hub');
  const message = { type: 'overlay-config', config: { ...config, hubs: [], prefixes: [] } } as const;
  story.tell({ kind: 'message', message });
  const other = {
    ...hubPeer(),
    node: nodeId('d'),
    address: address('10.9.0.12'),
    interfaces: [{ kind: 'hub-tunnel', publicKey: key('Q'), hub: nodeId('a'), endpoints: [] }] as const,
  };
  const sync = { type: 'peer-sync', snapshot: true, remove: [], complete: true } as const;
  story.tell({ kind: 'message', message: { ...sync, upsert: [hubPeer(), other] } });
  const [{ prefix: shared, origins }] = [route('10.7.0.0/16', 'c', 'd')];
  const ranked = origins.map((one, index) => ({ ...one, preference: preferences[index] ?? 0 }));
  tell(story, [{ prefix: shared, origins: ranked }], { snapshot: true });
  return story;
}

/** The keys of the peers that carry 10.7.0.0/16. */
function carriers(story: Story): string[] {
  const peers = desiredHost(story.state).interfaces.get('dmwg0')?.peers ?? new Map<string, never>();
  return [...peers.values()].filter((peer) => peer.allowedIps.has(prefix('10.7.0.0/16'))).map((peer) => peer.publicKey);
}

test('of two spokes with one prefix a hub gives it to the better one that is Up, and back after a while', () => {
  const story = site([200, 100]);
  assert.deepEqual(carriers(story), [key('P')], 'nobody is Up: by preference');
  story.bfd(`spoke:${nodeId('d')}`, 'up');
  assert.deepEqual(carriers(story), [key('Q')]);
  story.bfd(`spoke:${nodeId('c')}`, 'up');
  assert.deepEqual(carriers(story), [key('Q')]);
  story.wait(3000);
  assert.deepEqual(carriers(story), [key('P')], 'the better one has been Up for a while');
  story.bfd(`spoke:${nodeId('c')}`, 'down');
  assert.deepEqual(carriers(story), [key('Q')], 'at once');
  story.bfd(`spoke:${nodeId('d')}`, 'down');
  assert.deepEqual(carriers(story), [key('Q')], 'nobody is known to be better');
});

test('between equal ones who has it keeps it', () => {
  const story = site([0, 0]);
  story.bfd(`spoke:${nodeId('d')}`, 'up');
  story.bfd(`spoke:${nodeId('c')}`, 'up');
  story.wait(10_000);
  assert.deepEqual(carriers(story), [key('Q')]);
  story.bfd(`spoke:${nodeId('d')}`, 'down');
  assert.deepEqual(carriers(story), [key('P')]);
  story.bfd(`spoke:${nodeId('d')}`, 'up');
  story.wait(10_000);
  assert.deepEqual(carriers(story), [key('P')]);
});

test('no route and no shortcut where the registry is, unless the host is nearer', () => {
  const story = spoke();
  tell(story, [route('172.16.0.0/16', 'c'), route('172.17.0.0/16', 'c')], { snapshot: true });
  story.tell({ kind: 'registries', endpoints: [endpoint('172.16.9.9:7443')] });
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg-h1', '172.17.0.0/16 dmwg-h1', '192.168.0.0/16 dmwg-h1']);
  assert.match(story.state.routing.left.get(prefix('172.16.0.0/16')) ?? '', /the registry 172\.16\.9\.9 is in it/);
  const network = { protocol: 2, table: 254, interfaces: ['eth1'], metric: 0, prefix: prefix('172.16.9.0/24') };
  story.tell({ kind: 'kernel-routes', routes: [network] });
  assert.ok(story.routes().includes('172.16.0.0/16 dmwg-h1'));
});
