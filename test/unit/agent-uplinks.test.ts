// Several uplinks: by which one each tunnel leaves, and what the host is asked for.
import assert from 'node:assert/strict';
import test from 'node:test';
import { desiredHost } from '#agent/decide/desired.ts';
import { policyNumber } from '#agent/decide/host.ts';
import { restore, save } from '#agent/decide/restore.ts';
import { initialState } from '#agent/decide/state.ts';
import type { UplinkSight } from '#agent/decide/uplink-state.ts';
import type { Instant } from '#proto/model/time.ts';
import type { UplinkConfig } from '#proto/model/uplink.ts';
import {
  address,
  config,
  endpoint,
  hubs,
  nodeId,
  other,
  prefix,
  resolve,
  selfOf,
  Story,
} from '#test/support/agent-story.ts';

const number = policyNumber('dmwg');
const [fibre, mobile] = [number + 0x1_0000, number + 0x2_0000];
const fallbackMs = 30_000;

function uplink(name: string, priority: number): UplinkConfig {
  return { name, interface: name, source: undefined, gateway: undefined, priority };
}

function sight(name: string, third: number): [string, UplinkSight] {
  const gateway = address(`192.168.${String(third)}.1`);
  const routes = [
    { prefix: prefix('0.0.0.0/0'), via: gateway, onlink: false, source: undefined },
    { prefix: prefix(`192.168.${String(third)}.0/24`), via: undefined, onlink: false, source: undefined },
  ];
  return [name, { device: name, addresses: [address(`192.168.${String(third)}.2`)], routes }];
}

const both = [sight('fibre', 11), sight('mobile', 12)];

class UplinkStory extends Story {
  constructor(uplinks: readonly UplinkConfig[], known = hubs.slice(0, 1)) {
    super('spoke');
    this.state = initialState({ ...selfOf('spoke'), uplinks });
    this.tell({ kind: 'connected', endpoint: 'registry:7443' });
    this.tell({ kind: 'message', message: { type: 'overlay-config', config: { ...config, hubs: known } } });
    const there = uplinks.flatMap(({ name }) => both.filter(([known]) => known === name));
    this.tell({ kind: 'uplinks', sights: new Map(there) });
  }

  probe(uplinkName: string, state: 'up' | 'down', hub = 'a'): void {
    this.bfd(`uplink:${nodeId(hub)}:${uplinkName}`, state);
  }

  /** "dmwg0 fibre, dmwg-h1 mobile". */
  places(): string {
    const marks = new Map([
      [fibre, 'fibre'],
      [mobile, 'mobile'],
      [0, 'none'],
    ]);
    return [...desiredHost(this.state).interfaces.values()]
      .filter(({ name }) => !name.includes('-u'))
      .map(({ name, mark }) => `${name} ${marks.get(mark) ?? String(mark)}`)
      .join(', ');
  }
}

/** Both uplinks reach the hub; all goes by the first. */
function started(uplinks = [uplink('fibre', 0), uplink('mobile', 10)]): UplinkStory {
  const story = new UplinkStory(uplinks);
  story.probe('mobile', 'up');
  story.probe('fibre', 'up');
  story.bfd(`hub:${nodeId('a')}`, 'up');
  story.wait(5000);
  story.effects('replace-peer');
  story.effects('kick');
  story.effects('reconnect');
  return story;
}

test('without uplinks there are no marks, tables and probes', () => {
  const story = new UplinkStory([]);
  const host = desiredHost(story.state);
  assert.equal(story.places(), 'dmwg0 none, dmwg-h1 none');
  assert.deepEqual([host.gateways.size, host.rules.size], [0, 0]);
  assert.deepEqual(story.paths(), [`hub:${nodeId('a')}`]);
});

test('one uplink: everything is bound to it, and nothing is probed', () => {
  const story = new UplinkStory([uplink('fibre', 0)]);
  const host = desiredHost(story.state);
  assert.equal(story.places(), 'dmwg0 fibre, dmwg-h1 fibre');
  assert.deepEqual([...host.interfaces.keys()], ['dmwg0', 'dmwg-h1']);
  assert.deepEqual(
    [...host.gateways.values()].map(
      (route) => `${route.prefix} ${route.via ?? 'on link'} ${String(route.table - number)}`,
    ),
    ['0.0.0.0/0 192.168.11.1 65536', '192.168.11.0/24 on link 65536'],
  );
  assert.deepEqual(
    [...host.rules.values()].map(({ mark, table }) => [mark, table]),
    [
      [fibre, fibre],
      [fibre, 'unreachable'],
    ],
  );
});

test('each of two uplinks has a probe with the hub, which nothing goes by', () => {
  const story = new UplinkStory([uplink('fibre', 0), uplink('mobile', 10)]);
  const host = desiredHost(story.state);
  assert.deepEqual([...host.interfaces.values()].map(({ name, mark }) => [name, mark]).slice(2), [
    ['dmwg-u1', fibre],
    ['dmwg-u2', mobile],
  ]);
  const [peer] = host.interfaces.get('dmwg-u2')?.peers.values() ?? [];
  assert.deepEqual(
    [...(peer?.allowedIps ?? [])].every((allowed) => allowed.startsWith('fd00:1:2:')),
    true,
  );
  assert.deepEqual(story.paths().slice(1), [`uplink:${nodeId('a')}:fibre`, `uplink:${nodeId('a')}:mobile`]);
  const registered = story
    .sent('registration-request')
    .at(-1)
    ?.body.interfaces.map(({ kind }) => kind);
  assert.deepEqual(registered, ['multipoint', 'hub-tunnel', 'probe', 'probe']);
});

test('an uplink fails: its tunnels move at once, and come back after the fallback time', () => {
  const story = started();
  story.bfd(`hub:${nodeId('a')}`, 'down');
  assert.equal(story.places(), 'dmwg0 fibre, dmwg-h1 mobile');
  assert.deepEqual(
    story.effects('kick').map(({ path }) => path),
    [`hub:${nodeId('a')}`],
  );
  story.probe('fibre', 'down');
  assert.equal(story.places(), 'dmwg0 mobile, dmwg-h1 mobile');
  assert.equal(story.effects('reconnect').length, 1);
  story.bfd(`hub:${nodeId('a')}`, 'up');
  story.wait(60_000);
  story.probe('fibre', 'up');
  story.wait(fallbackMs - 10);
  assert.equal(story.places(), 'dmwg0 mobile, dmwg-h1 mobile');
  story.wait(20);
  assert.equal(story.places(), 'dmwg0 mobile, dmwg-h1 fibre', 'direct tunnels are emptied first');
  story.wait(200);
  assert.equal(story.places(), 'dmwg0 fibre, dmwg-h1 fibre');
  assert.equal(story.effects('reconnect').length, 1);
});

test('one that flaps is not taken back', () => {
  const story = started();
  story.probe('fibre', 'down');
  story.bfd(`hub:${nodeId('a')}`, 'down');
  story.bfd(`hub:${nodeId('a')}`, 'up');
  for (let round = 0; round < 5; round += 1) {
    story.probe('fibre', 'up');
    story.wait(fallbackMs / 2);
    story.probe('fibre', 'down');
    story.wait(1000);
    assert.equal(story.places(), 'dmwg0 mobile, dmwg-h1 mobile');
  }
});

test('a hub that dies breaks no direct tunnel, and no uplink is taken for it', () => {
  const story = started();
  resolve(story, other);
  story.wait(25);
  story.bfd(`direct:${other.node}`, 'up');
  story.probe('fibre', 'down');
  assert.equal(story.places(), 'dmwg0 fibre, dmwg-h1 fibre');
  story.bfd(`hub:${nodeId('a')}`, 'down');
  story.probe('mobile', 'down');
  story.wait(10_000);
  assert.match(story.places(), /^dmwg0 fibre/);
  assert.ok(story.routes().includes('10.9.0.11/32 dmwg0'));
});

test('the tunnels go back when nothing goes by direct ones any more', () => {
  const story = started();
  story.probe('fibre', 'down');
  story.bfd(`hub:${nodeId('a')}`, 'down');
  story.bfd(`hub:${nodeId('a')}`, 'up');
  resolve(story, other);
  story.wait(25);
  story.bfd(`direct:${other.node}`, 'up');
  story.probe('fibre', 'up');
  story.wait(fallbackMs - 100);
  assert.ok(story.routes().includes('10.9.0.11/32 dmwg0'));
  story.wait(110);
  assert.equal(story.places(), 'dmwg0 mobile, dmwg-h1 fibre');
  assert.ok(!story.routes().includes('10.9.0.11/32 dmwg0'), 'its routes went first');
  assert.ok(!story.paths().includes(`direct:${other.node}`), 'the other end is told');
  story.wait(200);
  assert.equal(story.places(), 'dmwg0 fibre, dmwg-h1 fibre');
});

test('an uplink without a way is left at once, whether or not anything is known of the other', () => {
  const story = new UplinkStory([uplink('fibre', 0), uplink('mobile', 10)]);
  assert.equal(story.places(), 'dmwg0 fibre, dmwg-h1 fibre');
  story.tell({ kind: 'uplinks', sights: new Map([sight('mobile', 12)]) });
  assert.equal(story.places(), 'dmwg0 mobile, dmwg-h1 mobile');
});

test('with a hub that answers no probes the uplinks are tried in turn, ever more slowly', () => {
  const story = new UplinkStory([uplink('fibre', 0), uplink('mobile', 10)]);
  story.bfd(`hub:${nodeId('a')}`, 'up');
  story.wait(60_000);
  assert.equal(story.places(), 'dmwg0 fibre, dmwg-h1 fibre');
  story.bfd(`hub:${nodeId('a')}`, 'down');
  story.wait(10);
  assert.match(story.places(), /dmwg-h1 mobile/);
  story.wait(5000);
  assert.match(story.places(), /dmwg-h1 mobile/);
  story.wait(6000);
  assert.match(story.places(), /dmwg-h1 fibre/);
});

test('uplinks of one priority share the hub tunnels', () => {
  const story = new UplinkStory([uplink('fibre', 0), uplink('mobile', 0)], hubs);
  assert.equal(story.places(), 'dmwg0 fibre, dmwg-h1 fibre, dmwg-h2 mobile');
});

test('another address of an uplink: it is registered, and every other end gets a packet', () => {
  const story = started();
  story.sent('registration-request');
  story.tell({ kind: 'uplinks', sights: new Map([sight('fibre', 13), sight('mobile', 12)]) });
  assert.deepEqual(
    story.effects('kick').map(({ path }) => path),
    [`uplink:${nodeId('a')}:fibre`, `hub:${nodeId('a')}`],
  );
  assert.deepEqual(
    story.effects('replace-peer').map((effect) => effect.interface),
    ['dmwg0'],
  );
  const claimed = story.sent('registration-request')[0]?.body.interfaces[0]?.endpoints;
  assert.match(claimed?.[0] ?? '', /^192\.168\.13\.2:/);
});

test('registries are reached by the uplink of the multipoint interface', () => {
  const story = started();
  story.tell({ kind: 'registries', endpoints: [endpoint('203.0.113.9:7443')] });
  const to = (): unknown[] =>
    [...desiredHost(story.state).rules.values()]
      .filter((rule) => rule.to)
      .map(({ to: where, table }) => [where, table]);
  assert.deepEqual(to(), [
    ['203.0.113.9/32', 254],
    ['203.0.113.9/32', fibre],
  ]);
  story.probe('fibre', 'down');
  story.bfd(`hub:${nodeId('a')}`, 'down');
  assert.deepEqual(to()[1], ['203.0.113.9/32', mobile]);
});

test('a restarted agent leaves the tunnels where they were', () => {
  const story = started();
  story.probe('fibre', 'down');
  story.bfd(`hub:${nodeId('a')}`, 'down');
  const turn = { now: 0 as Instant, random: () => 0.5, effects: [] };
  const state = restore(story.state.self, save(story.state), turn);
  assert.deepEqual(
    ['dmwg0', 'dmwg-h1'].map((name) => state.uplinks.places.get(name)?.uplink),
    ['mobile', 'mobile'],
  );
});
