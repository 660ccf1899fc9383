// NHS choice: which hubs a spoke has tunnels to, and by which one its traffic goes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { desiredHost } from '#agent/decide/desired.ts';
import { multipathHash } from '#agent/decide/host.ts';
import { restore, save } from '#agent/decide/restore.ts';
import { type Status, statusOf } from '#agent/decide/status.ts';
import { trace as traceFrom } from '#agent/decide/trace.ts';
import { nextWake } from '#agent/decide/wake.ts';
import { savedStateFormat } from '#agent/saved-state.ts';
import { noMessages } from '#proto/model/nhrp-counters.ts';
import { must } from '#proto/model/result.ts';
import type { LoadSharing } from '#proto/model/routing.ts';
import type { HubConfig, OverlayConfig } from '#proto/model/session.ts';
import { type Instant, seconds } from '#proto/model/time.ts';
import { address, config, endpoint, key, nodeId, nodeName, selfOf, Story } from '#test/support/agent-story.ts';

/** Hub `letter`; its tunnel is dmwg-h1 for the first hub of the configuration, and so on. */
function hub(letter: string, priority: number, cluster = 0): HubConfig {
  const number = letter.charCodeAt(0) - 96;
  return {
    node: nodeId(letter),
    name: nodeName(`hub-${letter}`),
    address: address(`10.9.0.${String(number)}`),
    address6: undefined,
    publicKey: key(letter),
    endpoints: [endpoint(`192.0.2.${String(number)}:51820`)],
    priority,
    cluster,
    draining: false,
  };
}

const two = [hub('a', 10), hub('b', 20)];
const three = [hub('a', 10), hub('b', 20), hub('c', 30)];

class HubStory extends Story {
  constructor(overlay: Partial<OverlayConfig>) {
    super('spoke');
    this.tell({ kind: 'connected', endpoint: 'registry:7443' });
    this.configure(overlay);
  }

  configure(overlay: Partial<OverlayConfig>): void {
    this.tell({ kind: 'message', message: { type: 'overlay-config', config: { ...config, ...overlay } } });
  }

  up(letters: string): void {
    for (const letter of letters) this.bfd(`hub:${nodeId(letter)}`, 'up');
  }

  down(letters: string): void {
    for (const letter of letters) this.bfd(`hub:${nodeId(letter)}`, 'down');
  }

  share(loadSharing: LoadSharing): void {
    const { routing, exit } = this.state.self;
    this.tell({ kind: 'configured', routing: { ...routing, loadSharing }, exit });
  }

  status(): Status {
    const readings = { paths: new Map(), endpoints: new Map(), faults: [], counters: noMessages, registries: [] };
    return statusOf(this.state, readings, this.now as Instant);
  }

  /** "a:up* b:probe c:down": the active one has the star. */
  hubs(): string {
    const shown = this.status().hubs.map((one) => `${one.node.slice(4)}:${one.state}${one.active ? '*' : ''}`);
    return shown.join(' ');
  }

  /** The tunnel that summaries go by. */
  way(): string {
    const route = this.routes().find((line) => line.startsWith('192.168.0.0/16'));
    return route?.split(' ')[1] ?? 'none';
  }

  tunnels(): string[] {
    return [...desiredHost(this.state).interfaces.keys()].filter((name) => name.includes('-h'));
  }
}

/** All hubs that have a tunnel come Up. */
function started(overlay: Partial<OverlayConfig>): HubStory {
  const story = new HubStory(overlay);
  for (const path of story.paths()) story.up(path.slice(4, 5));
  story.effects('log');
  return story;
}

test('without a limit all hubs are connected, and the best one is active', () => {
  const story = started({ hubs: three });
  assert.equal(story.hubs(), 'a:up* b:up c:up');
  assert.deepEqual(story.tunnels(), ['dmwg-h1', 'dmwg-h2', 'dmwg-h3']);
  assert.equal(story.way(), 'dmwg-h1');
});

test('with a limit the others have no tunnel, no BFD and no peer', () => {
  const story = started({ hubs: three, maxConnections: 2 });
  assert.equal(story.hubs(), 'a:up* b:up c:down');
  assert.deepEqual(story.tunnels(), ['dmwg-h1', 'dmwg-h2']);
  assert.deepEqual(story.peers('dmwg0'), [key('a'), key('b')]);
  assert.equal(story.paths().length, 2);
  assert.deepEqual(
    story.status().interfaces.map((own) => own.name),
    ['dmwg0', 'dmwg-h1', 'dmwg-h2'],
  );
});

test('a hub without a tunnel is registered all the same: the hub knows the key before it is needed', () => {
  const story = new HubStory({ hubs: three, maxConnections: 1 });
  const known = story
    .sent('registration-request')
    .at(-1)
    ?.body.interfaces.map((own) => own.hub);
  assert.deepEqual(known, [undefined, nodeId('a'), nodeId('b'), nodeId('c')]);
});

test('the best hub fails: the next one takes over at once, the failed one is probed, a spare one comes', () => {
  const story = started({ hubs: three, maxConnections: 2 });
  story.down('a');
  assert.equal(story.way(), 'dmwg-h2');
  assert.equal(story.hubs(), 'a:probe b:up* c:probe');
  assert.deepEqual(story.tunnels(), ['dmwg-h1', 'dmwg-h2', 'dmwg-h3']);
  story.up('c');
  assert.equal(story.hubs(), 'a:probe b:up* c:up');
});

test('the second hub fails: traffic stays where it is', () => {
  const story = started({ hubs: three, maxConnections: 2 });
  story.down('b');
  assert.equal(story.way(), 'dmwg-h1');
  story.up('c');
  assert.equal(story.hubs(), 'a:up* b:probe c:up');
});

test('a better hub is active again only after the fallback time', () => {
  const story = started({ hubs: three });
  story.down('a');
  story.wait(1000);
  story.up('a');
  assert.equal(story.hubs(), 'a:up b:up* c:up');
  story.wait(29_900);
  assert.equal(story.way(), 'dmwg-h2');
  story.wait(100);
  assert.equal(story.way(), 'dmwg-h1');
});

test('a hub that takes its place back: first the routes, and the tunnel of the other one goes later', () => {
  const story = started({ hubs: three, maxConnections: 1 });
  story.down('a');
  assert.deepEqual(story.tunnels(), ['dmwg-h1', 'dmwg-h2']);
  story.up('b');
  assert.equal(story.way(), 'dmwg-h2');
  story.wait(60_000);
  assert.equal(story.hubs(), 'a:probe b:up* c:down');
  story.up('a');
  story.wait(29_900);
  assert.equal(story.hubs(), 'a:probe b:up* c:down');
  story.wait(100);
  assert.equal(story.hubs(), 'a:up* b:probe c:down');
  assert.deepEqual(story.tunnels(), ['dmwg-h1', 'dmwg-h2'], 'others may still send by it');
  story.wait(30_000);
  assert.equal(story.hubs(), 'a:up* b:down c:down');
  assert.deepEqual(story.tunnels(), ['dmwg-h1']);
});

test('a tunnel that comes back has the name, port and key that it had', () => {
  const story = started({ hubs: three, maxConnections: 1 });
  const before = story.state.interfaces.get('dmwg-h2');
  story.down('a');
  story.up('ba');
  story.wait(60_000);
  assert.deepEqual(story.tunnels(), ['dmwg-h1']);
  story.down('a');
  const tunnel = desiredHost(story.state).interfaces.get('dmwg-h2');
  assert.deepEqual([tunnel?.publicKey, tunnel?.listenPort], [before?.publicKey, before?.listenPort]);
});

test('the standby that lingers takes over again without a new tunnel', () => {
  const story = started({ hubs: three, maxConnections: 1 });
  story.down('a');
  story.up('ba');
  story.wait(31_000);
  assert.equal(story.hubs(), 'a:up* b:probe c:down');
  story.down('a');
  assert.equal(story.hubs(), 'a:probe b:up* c:down');
});

test('a hub that flaps never gets its place back', () => {
  const story = started({ hubs: three, maxConnections: 2 });
  story.down('a');
  story.up('c');
  for (let times = 0; times < 20; times += 1) {
    story.up('a');
    story.wait(20_000);
    assert.equal(story.hubs(), 'a:probe b:up* c:up');
    story.down('a');
    story.wait(500);
    assert.equal(story.hubs(), 'a:probe b:up* c:up');
  }
});

test('a hub that does not come up gets company by the next one, and so on', () => {
  const story = new HubStory({ hubs: three, maxConnections: 1 });
  assert.equal(story.hubs(), 'a:probe* b:down c:down');
  story.wait(3000);
  assert.equal(story.hubs(), 'a:probe* b:probe c:down');
  story.wait(3000);
  assert.equal(story.hubs(), 'a:probe* b:probe c:probe');
  story.up('c');
  assert.equal(story.hubs(), 'a:probe b:probe c:up*');
  story.wait(120_000);
  assert.equal(story.hubs(), 'a:probe b:probe c:up*', 'better ones are probed for as long as it takes');
});

test('with none up the present one stays, and whichever comes first takes over', () => {
  const story = started({ hubs: three, maxConnections: 2 });
  story.down('ab');
  assert.equal(story.hubs(), 'a:probe b:probe* c:probe');
  story.wait(600_000);
  assert.equal(story.way(), 'dmwg-h2');
  story.up('a');
  assert.equal(story.hubs(), 'a:up* b:probe c:probe');
});

test('hubs that come up together at the start: the best one is active without delay', () => {
  const story = new HubStory({ hubs: three });
  story.up('c');
  story.wait(500);
  story.up('b');
  story.wait(500);
  story.up('a');
  assert.equal(story.hubs(), 'a:up* b:up c:up');
});

test('a hub that comes up much later for the first time waits', () => {
  const story = started({ hubs: three.slice(1) });
  story.wait(60_000);
  story.configure({ hubs: three });
  story.up('a');
  assert.equal(story.hubs(), 'a:up b:up* c:up');
  story.wait(30_000);
  assert.equal(story.hubs(), 'a:up* b:up c:up');
});

test('of hubs with one priority the connected and the active one stay', () => {
  const equal = [hub('a', 10), hub('b', 10)];
  const story = started({ hubs: equal, maxConnections: 1 });
  assert.equal(story.hubs(), 'a:up* b:down');
  story.down('a');
  story.up('ba');
  story.wait(90_000);
  assert.equal(story.hubs(), 'a:down b:up*');
});

test('hubs of one priority share the traffic if that is wanted, and what belongs to one goes by its own tunnel', () => {
  const equals = [hub('a', 10), hub('b', 10), hub('c', 20)];
  const story = started({ hubs: equals });
  assert.equal(story.hubs(), 'a:up* b:up c:up', 'without a word about it they do not');
  story.share('addresses');
  assert.equal(story.hubs(), 'a:up* b:up* c:up');
  assert.equal(story.way(), 'dmwg-h1,dmwg-h2');
  const trace = (text: string): string => traceFrom(story.state, address(text)).why.at(-1) ?? '';
  assert.equal(trace('192.168.9.1'), 'hub-a, hub-b share the traffic: the kernel chooses one for each flow');
  const own = story.routes().filter((line) => /^10\.9\.0\.[123]\/32/.test(line));
  assert.deepEqual(own, ['10.9.0.1/32 dmwg-h1', '10.9.0.2/32 dmwg-h2', '10.9.0.3/32 dmwg-h3']);
  assert.equal(desiredHost(story.state).sysctls.get(multipathHash[4]), undefined);
  story.share('flows');
  assert.equal(desiredHost(story.state).sysctls.get(multipathHash[4]), '1');

  story.down('b');
  assert.equal(story.way(), 'dmwg-h1', 'one that goes down leaves at once');
  story.up('b');
  assert.equal(story.hubs(), 'a:up* b:up c:up', 'and comes back after the fallback time');
  story.wait(30_000);
  assert.equal(story.way(), 'dmwg-h1,dmwg-h2');
  story.down('a');
  assert.equal(story.hubs(), 'a:probe b:up* c:up');
  story.down('b');
  assert.equal(story.way(), 'dmwg-h3');
  story.down('c');
  assert.equal(story.way(), 'dmwg-h3', 'the last one stays');
});

test('clusters: each keeps its connections, the lowest one carries the traffic', () => {
  const story = started({ hubs: [hub('a', 10, 1), hub('b', 20, 1), hub('c', 99, 0)], maxConnections: 1 });
  assert.equal(story.hubs(), 'a:up b:down c:up*');
  story.down('c');
  assert.equal(story.hubs(), 'a:up* b:down c:probe');
  story.up('c');
  assert.equal(story.hubs(), 'a:up* b:down c:up');
  story.wait(30_000);
  assert.equal(story.hubs(), 'a:up b:down c:up*');
});

test('a cluster that keeps 2 of 3', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', 'a:up* b:up c:down'],
    ['a', 'a:probe b:up* c:up'],
    ['b', 'a:up* b:probe c:up'],
    ['ab', 'a:probe b:probe c:up*'],
  ];
  for (const [failed, expected] of cases) {
    const story = started({ hubs: three, maxConnections: 2 });
    story.down(failed);
    if (failed !== '') story.up('c');
    assert.equal(story.hubs(), expected, `without ${failed}`);
  }
});

test('priorities and limits that change take effect at once, but for what has just come up', () => {
  const story = started({ hubs: three });
  story.wait(60_000);
  story.configure({ hubs: [hub('a', 10), hub('b', 5), hub('c', 30)] });
  assert.equal(story.hubs(), 'a:up b:up* c:up');
  story.configure({ hubs: [hub('a', 10), hub('b', 5), hub('c', 30)], maxConnections: 1 });
  assert.equal(story.hubs(), 'a:probe b:up* c:probe');
  story.wait(30_000);
  assert.equal(story.hubs(), 'a:down b:up* c:down');
  story.configure({ hubs: three, maxConnections: 3 });
  assert.equal(story.hubs(), 'a:probe b:up* c:probe');
});

test('a fallback time of 0 returns at once', () => {
  const story = started({ hubs: three, fallbackTime: seconds(0) });
  story.down('a');
  story.wait(5000);
  story.up('a');
  assert.equal(story.hubs(), 'a:up* b:up c:up');
});

test('a hub that has not registered yet has no tunnel and takes nobody’s place', () => {
  const story = started({ hubs: [{ ...hub('a', 1), publicKey: undefined }, hub('b', 20)], maxConnections: 1 });
  assert.equal(story.hubs(), 'a:down b:up*');
  story.configure({ hubs: [hub('a', 1), hub('b', 20)], maxConnections: 1 });
  assert.equal(story.hubs(), 'a:probe b:up*');
});

test('a restarted agent keeps the tunnels and the active hub that it had', () => {
  const before = started({ hubs: three, maxConnections: 1 });
  before.down('a');
  before.up('b');
  before.wait(60_000);
  const content: unknown = JSON.parse(JSON.stringify(savedStateFormat.format(save(before.state))));
  const story = new HubStory({ hubs: [] });
  story.state = restore(selfOf('spoke'), must(savedStateFormat.parse(content)), {
    now: story.now as Instant,
    random: () => 0.5,
    effects: [],
  });
  for (const own of before.state.interfaces.values()) {
    if (own.publicKey) story.tell({ kind: 'key-made', interface: own.name, publicKey: own.publicKey });
  }
  assert.equal(story.way(), 'dmwg-h2');
  assert.deepEqual(story.tunnels(), ['dmwg-h1', 'dmwg-h2']);
  story.up('b');
  assert.equal(story.hubs(), 'a:probe b:up* c:down');
});

test('a moment that passes between a step and the next sleep is not missed', () => {
  const story = started({ hubs: three, maxConnections: 1 });
  story.down('a');
  story.up('ba');
  const due = nextWake(story.state, story.now as Instant);
  // The pass over the host took long: it is later by now.
  assert.equal(nextWake(story.state, (story.now + 100_000) as Instant), due);
});

test('nothing is due when everything has its place', () => {
  const story = started({ hubs: three, maxConnections: 2 });
  const at = story.now;
  story.tell({ kind: 'disconnected' });
  const moments: number[] = [];
  for (let due = nextWake(story.state, story.now as Instant); due !== undefined && due < at + 120_000; ) {
    assert.ok(due > story.now);
    moments.push(due);
    story.wait(due - story.now);
    due = nextWake(story.state, story.now as Instant);
  }
  // The fallback time of the second hub, and looks at what shortcuts carried.
  assert.ok(moments.length <= 12, moments.join());
});

test('a hub that is to be stopped is left when there is another one, whatever their priorities', () => {
  const story = new HubStory({ hubs: two });
  story.up('ab');
  assert.equal(story.hubs(), 'a:up* b:up');
  assert.deepEqual(registered(story), [nodeId('a'), nodeId('b')]);
  story.configure({ hubs: [{ ...hub('a', 10), draining: true }, hub('b', 20)] });
  assert.equal(story.hubs(), 'a:probe b:up*', 'at once, and its tunnel stays for what is on its way');
  assert.equal(registered(story), undefined, 'nothing to say yet');
  story.wait(2000);
  assert.equal(story.hubs(), 'a:down b:up*');
  assert.deepEqual(registered(story), [nodeId('b')]);
  story.configure({ hubs: two });
  story.up('a');
  story.wait(30_000);
  assert.equal(story.hubs(), 'a:up* b:up');
});

test('a hub that is to be stopped goes on while there is no other one, and comes back when the other one fails', () => {
  const draining = { ...hub('a', 10), draining: true };
  const story = new HubStory({ hubs: [draining, hub('b', 20)] });
  story.up('a');
  assert.equal(story.hubs(), 'a:up* b:probe');
  story.up('b');
  assert.equal(story.hubs(), 'a:probe b:up*');
  story.wait(2000);
  story.down('b');
  story.up('a');
  assert.equal(story.hubs(), 'a:up* b:probe');
});

test('one connection: the next hub is connected before the one that is to be stopped is left', () => {
  const story = new HubStory({ hubs: two, maxConnections: 1 });
  story.up('a');
  assert.equal(story.hubs(), 'a:up* b:down');
  story.configure({ hubs: [{ ...hub('a', 10), draining: true }, hub('b', 20)], maxConnections: 1 });
  assert.equal(story.hubs(), 'a:up* b:probe');
  story.up('b');
  assert.equal(story.hubs(), 'a:probe b:up*');
});

/** The hubs to which tunnels were registered since the last look; undefined if nothing was. */
function registered(story: HubStory): string[] | undefined {
  return story
    .sent('registration-request')
    .at(-1)
    ?.body.interfaces.flatMap(({ hub: to }) => to ?? []);
}
