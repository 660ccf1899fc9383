// Paths that are Up and no good.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { PathId } from '#agent/decide/event.ts';
import { judge } from '#agent/decide/quality.ts';
import type { PathReading, Verdict } from '#agent/decide/quality-state.ts';
import { initialState } from '#agent/decide/state.ts';
import { statusOf } from '#agent/decide/status.ts';
import { trace } from '#agent/decide/trace.ts';
import { noMessages } from '#proto/model/nhrp-counters.ts';
import { defaultQuality } from '#proto/model/quality.ts';
import type { Instant } from '#proto/model/time.ts';
import {
  config,
  directSpoke,
  hubs,
  joinedSpoke,
  nodeId,
  other,
  selfOf,
  type Story,
} from '#test/support/agent-story.ts';

const direct: PathId = `direct:${other.node}`;
const [hubA, hubB]: PathId[] = [`hub:${nodeId('a')}`, `hub:${nodeId('b')}`];

/** Percent of loss by path, for a while, measured every two seconds. */
function measure(story: Story, losses: Partial<Record<PathId, number>>, forMs: number, rttMs = 5): void {
  const readings = new Map<PathId, PathReading>(
    Object.entries(losses).map(([path, loss]) => [path as PathId, { loss: (loss ?? 0) / 100, rttMs }]),
  );
  for (let passed = 0; passed < forMs; passed += 2000) {
    story.tell({ kind: 'measured', readings });
    story.wait(2000);
  }
}

const toOther = (story: Story): boolean => story.routes().includes('10.9.0.11/32 dmwg0');

test('a direct path that loses packets is left for the hub, and taken again when it has been good for a while', () => {
  const story = directSpoke();
  assert.ok(toOther(story));
  measure(story, { [direct]: 9, [hubA ?? '']: 0 }, 10_000);
  assert.ok(toOther(story), 'somewhat lossy');
  measure(story, { [direct]: 11, [hubA ?? '']: 0 }, 2000);
  assert.ok(!toOther(story));
  assert.ok(story.paths().includes(direct), 'its session goes on');
  measure(story, { [direct]: 7, [hubA ?? '']: 0 }, 60_000);
  assert.ok(!toOther(story), 'not good enough');
  measure(story, { [direct]: 0, [hubA ?? '']: 0 }, 28_000);
  assert.ok(!toOther(story), 'not for long enough');
  measure(story, { [direct]: 0, [hubA ?? '']: 0 }, 6000);
  assert.ok(toOther(story));
});

test('it stays on the direct path when the hub is no better, or not there', () => {
  const story = directSpoke();
  measure(story, { [direct]: 30, [hubA ?? '']: 30 }, 4000);
  assert.ok(toOther(story));
  const alone = directSpoke();
  measure(alone, { [direct]: 30, [hubA ?? '']: 0 }, 4000);
  assert.ok(!toOther(alone));
  alone.bfd(`hub:${nodeId('a')}`, 'down');
  assert.ok(toOther(alone));
});

test('status and trace say so', () => {
  const story = directSpoke();
  measure(story, { [direct]: 20, [hubA ?? '']: 0 }, 2000);
  const paths = new Map([[direct, { state: 'up' as const, rttMs: 5, loss: 0.2 }]]);
  const readings = { paths, endpoints: new Map(), faults: [], counters: noMessages, registries: [] };
  const [peer] = statusOf(story.state, readings, story.now as Instant).peers;
  assert.deepEqual([peer?.path, peer?.state, peer?.loss], ['hub', 'direct', 20]);
  assert.equal(peer?.reason, 'the direct path is not used: it loses 20 %');
  const way = trace(story.state, other.address);
  assert.equal(way.path, 'hub');
  assert.match(way.why.join(), /is up, but not used: it loses 20 %/);
});

test('idle timeouts of a path that is avoided are long: a new one would have to be judged anew', () => {
  const story = directSpoke();
  measure(story, { [direct]: 20, [hubA ?? '']: 0 }, 2000);
  for (let time = 0; time < 120_000; time += 15_000) {
    story.wait(15_000);
    story.tell({ kind: 'activity', addresses: [] });
  }
  assert.ok(story.state.remotes.has(other.node));
});

test('a lossy hub loses to the next one, which is left when the better one is good again', () => {
  const story = joinedSpoke({ ...config, hubs });
  const way = (): string | undefined => story.routes().find((line) => line.startsWith('192.168.0.0/16'));
  story.wait(60_000);
  assert.equal(way(), '192.168.0.0/16 dmwg-h1');
  measure(story, { [hubA ?? '']: 15, [hubB ?? '']: 0 }, 2000);
  assert.equal(way(), '192.168.0.0/16 dmwg-h2');
  measure(story, { [hubA ?? '']: 0, [hubB ?? '']: 0 }, 28_000);
  assert.equal(way(), '192.168.0.0/16 dmwg-h2');
  measure(story, { [hubA ?? '']: 0, [hubB ?? '']: 0 }, 6000);
  assert.equal(way(), '192.168.0.0/16 dmwg-h1');
  measure(story, { [hubA ?? '']: 30, [hubB ?? '']: 30 }, 4000);
  assert.equal(way(), '192.168.0.0/16 dmwg-h1', 'the better of two that are lossy');
});

test('off: nothing follows from any loss', () => {
  const story = directSpoke();
  story.state = { ...story.state, self: { ...story.state.self, quality: undefined } };
  measure(story, { [direct]: 90, [hubA ?? '']: 0 }, 20_000);
  assert.ok(toOther(story));
});

test('a lossy uplink loses to the next one: the probe tells before anything is moved', () => {
  const story = joinedSpoke();
  const uplinks = ['fibre', 'mobile'].map((name, index) => {
    return { name, interface: name, source: undefined, gateway: undefined, priority: index };
  });
  const fresh = initialState({ ...selfOf('spoke'), uplinks });
  story.state = fresh;
  story.tell({ kind: 'message', message: { type: 'overlay-config', config } });
  const route = { prefix: '0.0.0.0/0' as never, via: undefined, onlink: false, source: undefined };
  story.tell({
    kind: 'uplinks',
    sights: new Map(uplinks.map(({ name }) => [name, { device: name, addresses: [], routes: [route] }])),
  });
  const probe = (name: string): PathId => `uplink:${nodeId('a')}:${name}`;
  for (const { name } of uplinks) story.bfd(probe(name), 'up');
  story.bfd(`hub:${nodeId('a')}`, 'up');
  story.wait(40_000);
  const place = (name: string): string | undefined => story.state.uplinks.places.get(name)?.uplink;
  assert.equal(place('dmwg-h1'), 'fibre');
  measure(story, { [probe('fibre')]: 20, [probe('mobile')]: 1, [hubA ?? '']: 20 }, 4000);
  assert.deepEqual([place('dmwg-h1'), place('dmwg0')], ['mobile', 'mobile']);
  measure(story, { [probe('fibre')]: 0, [probe('mobile')]: 1 }, 40_000);
  assert.deepEqual([place('dmwg-h1'), place('dmwg0')], ['fibre', 'fibre']);
});

test('slow: only if a threshold says so', () => {
  const at = 1000 as Instant;
  const slow = new Map([['path', { rttMs: 900, loss: 0 }]]);
  assert.equal(judge(new Map(), slow, defaultQuality, at).size, 0);
  const verdicts = judge(new Map(), slow, { loss: 10, rtt: 400 }, at);
  assert.equal(verdicts.get('path')?.reason, 'its round trip takes 900 ms');
});

test('each time that a path becomes poor again soon it has to be good for longer', () => {
  const holds: number[] = [];
  let verdicts: ReadonlyMap<string, Verdict> = new Map();
  let now = 0;
  const tell = (loss: number): void => {
    verdicts = judge(verdicts, new Map([['path', { rttMs: 1, loss }]]), defaultQuality, now as Instant);
    now += 2000;
  };
  for (let spell = 0; spell < 4; spell += 1) {
    tell(0.5);
    const began = now;
    while (verdicts.get('path')?.poor === true) tell(0);
    holds.push(Math.round((now - began - 2000) / 1000));
  }
  assert.deepEqual(holds, [30, 60, 120, 240]);
});
