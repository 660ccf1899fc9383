// The agent's loop on a world of values.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { foreignInterface } from '#agent/host.ts';
import type { Change } from '#agent/decide/change.ts';
import { applyChanges } from '#agent/decide/apply-changes.ts';
import type { ObservedPeer } from '#agent/decide/event.ts';
import { type HostState, nothing } from '#agent/decide/host.ts';
import { initialState, type Self } from '#agent/decide/state.ts';
import { createLoop, type Loop } from '#agent/loop.ts';
import { createLooks } from '#agent/looks.ts';
import type { World } from '#agent/world.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import type { PublicKey } from '#proto/model/key.ts';
import { defaultRouting } from '#proto/model/routing.ts';
import { config, key, nodeId, nodeName } from '#test/support/agent-story.ts';
import { until } from '#test/support/poll.ts';

const logger = createLogger('test', 'silent');
const self: Self = {
  node: nodeId('1'),
  name: nodeName('spoke'),
  role: 'spoke',
  interfacePrefix: 'dmwg',
  endpoints: [],
  listenPort: 4000,
  nflogGroup: 5,
  prefixes: [],
  routing: defaultRouting,
  exit: undefined,
  mtu: undefined,
  uplinks: [],
  quality: undefined,
};

function run(t: TestContext, changed: Partial<World>) {
  let host = nothing;
  const done: Change[] = [];
  let looks = 0;
  const world: World = {
    observe: () => {
      looks += 1;
      return Promise.resolve(host);
    },
    apply: (changes) => {
      done.push(...changes);
      host = applyChanges(host, changes);
      return Promise.resolve(changes.map((change) => ({ change, error: undefined })));
    },
    makeKey: (name) => Promise.resolve(key(name.includes('-') ? 'L' : 'K')),
    observePeers: () => Promise.resolve(new Map()),
    observeActivity: () => Promise.resolve([]),
    observeLocalAddresses: () => Promise.resolve([]),
    send: () => undefined,
    setBfd: () => undefined,
    kickBfd: () => undefined,
    bfdNow: () => undefined,
    attend: () => undefined,
    reconnect: () => undefined,
    save: () => undefined,
    ...changed,
  };
  const initial = initialState(self);
  const loop = createLoop({ world, initial, effects: [], clock: systemClock, random: Math.random, logger });
  const stop = new AbortController();
  const ended = loop.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await ended;
  });
  const configure = (): void => {
    loop.post({ kind: 'message', message: { type: 'overlay-config', config } });
  };
  const set = (next: (host: HostState) => HostState): void => {
    host = next(host);
  };
  return { loop, done, configure, set, looks: () => looks };
}

const hasFault = (loop: Loop, pattern: RegExp) => (): boolean => loop.faults().some((text) => pattern.test(text));
const soon = { within: 5000 };

test('a key that cannot be had is a fault, and is asked for again', async (t) => {
  let broken = true;
  const { loop, done, configure } = run(t, {
    makeKey: (name) => (broken ? Promise.reject(new Error('no entropy')) : Promise.resolve(key(name.charAt(5) || 'K'))),
  });
  configure();
  await until('the fault is told', hasFault(loop, /key of dmwg0: no entropy/), soon);
  broken = false;
  await until('the interfaces are made', () => done.some(({ kind }) => kind === 'create-interface'), soon);
  assert.deepEqual(loop.faults(), []);
});

test('a fixed port that is taken, and an interface that does not answer, are faults', async (t) => {
  const { loop, done, configure, set, looks } = run(t, {});
  configure();
  await until('dmwg0 is there', () => done.some(({ kind }) => kind === 'add-peer'), soon);
  const change = (part: object, rest: Partial<HostState> = {}): void => {
    set((host) => {
      const tunnel = host.interfaces.get('dmwg0');
      assert.ok(tunnel);
      return { ...host, interfaces: new Map(host.interfaces).set('dmwg0', { ...tunnel, ...part }), ...rest };
    });
    loop.look();
  };
  change({ listenPort: 0 });
  await until('the port is told', hasFault(loop, /dmwg0: UDP port 4000 is taken/), soon);
  const configured = (): number => done.filter(({ kind }) => kind === 'configure-interface').length;
  assert.ok(configured() > 0);
  await until('it is well again', () => loop.faults().length === 0, soon);

  const [before, seen] = [configured(), looks()];
  change({ listenPort: 0, publicKey: undefined, peers: new Map() }, { unreadable: new Set(['dmwg0']) });
  await until('the silence is told', hasFault(loop, /dmwg0: WireGuard does not answer/), soon);
  assert.ok(looks() > seen);
  assert.equal(configured(), before, 'it is left alone');
});

test('one look at an interface at a time', async () => {
  const asked: ((peers: ReadonlyMap<PublicKey, ObservedPeer>) => void)[] = [];
  const posted: string[] = [];
  const looks = createLooks({
    world: {
      kickBfd: () => undefined,
      reconnect: () => undefined,
      observePeers: () => new Promise((resolve) => asked.push(resolve)),
      observeActivity: () => Promise.resolve([]),
    },
    post: (event) => posted.push(event.kind),
    logger,
  });
  for (let round = 0; round < 3; round += 1) looks.perform([{ kind: 'inspect-peers', interface: 'dmwg0' }]);
  assert.equal(asked.length, 1);
  asked[0]?.(new Map());
  await until('the look is over', () => posted.length === 1, soon);
  await until(
    'another one may begin',
    () => {
      looks.perform([{ kind: 'inspect-peers', interface: 'dmwg0' }]);
      return asked.length === 2;
    },
    soon,
  );
});

test('an interface with a key that is not ours is not ours', () => {
  const tunnel = {
    name: 'dmwg0',
    listenPort: 1,
    mtu: 1400,
    mark: 0,
    up: true,
    addresses: new Set<never>(),
    peers: new Map(),
  };
  const host = (publicKey: PublicKey | undefined): HostState => {
    return { ...nothing, interfaces: new Map([['dmwg0', { ...tunnel, publicKey }]]) };
  };
  assert.match(foreignInterface(host(key('K')), new Set([key('L')])) ?? '', /^dmwg0 belongs to someone else/);
  assert.equal(foreignInterface(host(key('K')), new Set([key('K')])), undefined);
  assert.equal(foreignInterface(host(undefined), new Set()), undefined);
});
