// Full tunnel and `dmwg trace`, on the agent's state alone.
import assert from 'node:assert/strict';
import test from 'node:test';
import { desiredHost } from '#agent/decide/desired.ts';
import { policyNumber } from '#agent/decide/host.ts';
import { trace } from '#agent/decide/trace.ts';
import type { Target } from '#proto/model/nhrp.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import { defaultRouting, type ExitConfig } from '#proto/model/routing.ts';
import { seconds } from '#proto/model/time.ts';
import {
  address,
  config,
  endpoint,
  hubPeer,
  hubs,
  nodeId,
  nodeName,
  other,
  prefix,
  reply,
  Story,
} from '#test/support/agent-story.ts';

const number = policyNumber('dmwg');
const silent = { endpoint: undefined, rxBytes: 0 };

function learned(text: string, ...nodes: readonly [id: string, name: string][]): LearnedRoute {
  const origins = nodes.map(([id, name]) => ({ node: nodeId(id), name: nodeName(name), preference: 0 }));
  return { prefix: prefix(text), origins };
}

function told(story: Story, routes: readonly LearnedRoute[]): Story {
  const sync = { type: 'route-sync', snapshot: true, upsert: routes, remove: [], complete: true } as const;
  story.tell({ kind: 'message', message: sync });
  return story;
}

function spoke(exit: Partial<ExitConfig> | undefined, ...routes: readonly LearnedRoute[]): Story {
  const story = new Story();
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  story.tell({ kind: 'message', message: { type: 'overlay-config', config } });
  story.bfd(`hub:${nodeId('a')}`, 'up');
  if (exit) {
    const whole = { via: nodeName('hub-a'), killSwitch: false, direct: [], ...exit };
    story.tell({ kind: 'configured', routing: defaultRouting, exit: whole });
  }
  story.tell({ kind: 'registries', endpoints: [endpoint('203.0.113.9:7443')] });
  return told(story, routes);
}

/** The requests that traffic to there leads to. */
function indicate(story: Story, destination: string) {
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: address(destination) });
  return story.sent('resolution-request');
}

/** The registry's answer for an address in 0.0.0.0/1. */
function answerHalf(story: Story, requestId: number, target: Target): void {
  const flags = { router: true, authoritative: true, destinationStable: true, unique: true, sourceStable: true };
  const cie = { code: 0, prefixLength: 1, mtu: 1420, holdingTime: seconds(7200), nbma: [], preference: 0 };
  const body = {
    type: 'resolution-reply',
    ...flags,
    cies: [{ ...cie, protocolAddress: target.address }],
    target,
  } as const;
  story.hear(body, { requestId, destination: address('8.8.8.8') });
}

const halves = (...nodes: readonly [string, string][]): LearnedRoute[] => [
  learned('0.0.0.0/1', ...nodes),
  learned('128.0.0.0/1', ...nodes),
];

const rulesOf = (story: Story): string[] =>
  [...desiredHost(story.state).rules.values()].map((rule) =>
    [
      rule.priority - number,
      rule.to ?? '',
      rule.from ?? '',
      rule.without === undefined ? '' : 'unmarked',
      rule.table === number ? 'own' : 'main',
      rule.noDefault ? 'no default' : '',
    ]
      .join(' ')
      .replaceAll(/ +/g, ' ')
      .trim(),
  );
const exitRoutes = (story: Story): string[] =>
  [...desiredHost(story.state).routes.values()]
    .filter(({ table }) => table === number)
    .map((route) => `${route.prefix} ${route.interfaces.join()}`);

test("what others announce as a default route is nobody's route without an exit", () => {
  const story = spoke(undefined, ...halves(['a', 'hub-a']));
  assert.ok(
    story.routes().every((route) => !route.startsWith('0.0.0.0/1')),
    story.routes().join(),
  );
  assert.deepEqual([rulesOf(story), exitRoutes(story)], [[], []]);
  assert.equal(desiredHost(story.state).interfaces.get('dmwg0')?.mark, 0);
  assert.match(trace(story.state, address('8.8.8.8')).why.join(), /no route of the overlay/);
});

test('through a hub: rules as of wg-quick, hubs and registries by the main table', () => {
  const story = spoke({}, ...halves(['a', 'hub-a']));
  assert.deepEqual(rulesOf(story), [
    '5 192.0.2.1/32 main',
    '5 203.0.113.9/32 main',
    '6 main no default',
    '7 unmarked own',
  ]);
  assert.deepEqual(exitRoutes(story), ['0.0.0.0/0 dmwg-h1']);
  const host = desiredHost(story.state);
  assert.deepEqual(
    [...host.interfaces.values()].map(({ mark }) => mark),
    [number, number],
  );
  assert.equal(host.firewall?.killSwitch, undefined);
  const { path, node, interface: name } = trace(story.state, address('8.8.8.8'));
  assert.deepEqual([path, node, name], ['exit', 'hub-a', 'dmwg-h1']);
});

test('only a node that announces both halves is an exit', () => {
  for (const routes of [[], [learned('0.0.0.0/1', ['a', 'hub-a'])], halves(['c', 'other'])]) {
    const story = spoke({}, ...routes);
    assert.deepEqual(exitRoutes(story), []);
    assert.match(trace(story.state, address('8.8.8.8')).why.join(), /hub-a announces no IPv4 default route/);
  }
});

test('a kill switch waits until it is known where the registries are, and knows the own networks', () => {
  const story = spoke({ killSwitch: true, direct: [prefix('172.20.0.0/16')] }, ...halves(['a', 'hub-a']));
  assert.deepEqual(desiredHost(story.state).firewall?.killSwitch, {
    mark: number,
    registries: [endpoint('203.0.113.9:7443')],
    direct: ['172.20.0.0/16', '192.168.1.0/24'],
  });
  assert.ok(rulesOf(story).includes('5 172.20.0.0/16 main'));
  const fresh = new Story();
  fresh.tell({ kind: 'message', message: { type: 'overlay-config', config } });
  const exit = { via: nodeName('hub-a'), killSwitch: true, direct: [] };
  fresh.tell({ kind: 'configured', routing: defaultRouting, exit });
  assert.equal(desiredHost(fresh.state).firewall?.killSwitch, undefined);
});

test('through another spoke: by the hub if the hubs choose the same, and directly once there is a path', () => {
  const story = spoke({ via: nodeName('other') }, ...halves(['c', 'other'], ['d', 'rival']));
  assert.deepEqual(exitRoutes(story), ['0.0.0.0/0 dmwg-h1']);
  const [asked] = indicate(story, '8.8.8.8');
  assert.equal(asked?.destination, '8.8.8.8');
  assert.deepEqual(indicate(story, '9.9.9.9'), [], 'one question for all that is outside');
  answerHalf(story, asked.requestId, {
    ...other,
    prefixes: [prefix('0.0.0.0/1'), prefix('128.0.0.0/1')],
  });
  story.wait(20);
  story.bfd(`direct:${other.node}`, 'up');
  assert.deepEqual(exitRoutes(story), ['0.0.0.0/0 dmwg0']);
  assert.deepEqual(indicate(story, '9.9.9.9'), []);
  const peer = desiredHost(story.state).interfaces.get('dmwg0')?.peers.get(other.publicKey);
  assert.ok(peer?.allowedIps.has(prefix('128.0.0.0/1')));

  const second = spoke({ via: nodeName('rival') }, ...halves(['c', 'other'], ['d', 'rival']));
  assert.deepEqual(exitRoutes(second), []);
  assert.match(trace(second.state, address('8.8.8.8')).why.join(), /the hubs' exit is other/);
});

test("an exit that is not the hubs' is sought by itself, kept, and replaced by no other", () => {
  const told4 = halves(['b', 'better'], ['c', 'other']).map((route) => ({
    ...route,
    origins: route.origins.map((origin) => ({
      ...origin,
      address: address(origin.name === 'other' ? '10.9.0.11' : '10.9.0.12'),
    })),
  }));
  const story = spoke({ via: nodeName('other') }, ...told4);
  const [request] = story.sent('resolution-request');
  assert.equal(request?.destination, '10.9.0.11', 'without any traffic');
  assert.deepEqual(exitRoutes(story), []);
  assert.match(trace(story.state, address('8.8.8.8')).why.join(), /no direct path to other .*hubs' exit is better/);
  reply(story, request.requestId, other);
  story.wait(25);
  story.bfd(`direct:${other.node}`, 'up');
  assert.deepEqual(exitRoutes(story), ['0.0.0.0/0 dmwg0']);
  story.tell({ kind: 'activity', addresses: [] });
  story.wait(200_000);
  story.tell({ kind: 'activity', addresses: [] });
  assert.deepEqual(exitRoutes(story), ['0.0.0.0/0 dmwg0'], 'it is not idle');
  story.bfd(`direct:${other.node}`, 'down');
  assert.deepEqual(exitRoutes(story), [], 'not by another one');
  story.sent('resolution-request');
  for (let count = 0; count < 30; count++) {
    story.tell({ kind: 'peers', interface: 'dmwg0', peers: new Map([[other.publicKey, silent]]) });
    story.wait(2000);
  }
  assert.ok(
    story.sent('resolution-request').some(({ destination }) => destination === '10.9.0.11'),
    'it is sought again',
  );
});

test('a hub passes on what its spokes send it, by rules for what came from them', () => {
  const story = new Story('hub');
  story.tell({ kind: 'message', message: { type: 'overlay-config', config: { ...config, hubs: [], prefixes: [] } } });
  story.tell({
    kind: 'message',
    message: { type: 'peer-sync', snapshot: true, upsert: [hubPeer()], remove: [], complete: true },
  });
  told(story, halves(['c', 'other']));
  assert.deepEqual(rulesOf(story), ['3 dmwg0 main no default', '4 dmwg0 own']);
  assert.deepEqual(exitRoutes(story), ['0.0.0.0/0 dmwg0']);
  const main = [...desiredHost(story.state).routes.values()].filter(({ table }) => table !== number);
  assert.ok(main.every((route) => !route.prefix.endsWith('/1')));
});

test('trace tells the route and why', () => {
  const story = spoke(
    undefined,
    learned('172.16.0.0/16', ['a', 'hub-a']),
    learned('172.17.0.0/16', ['c', 'other'], ['d', 'x']),
  );
  const way = (text: string): unknown[] => {
    const { path, prefix: route, node, hub, why } = trace(story.state, address(text));
    return [path, route, node, hub, why.at(-1)];
  };
  assert.deepEqual(way('10.9.0.10').slice(0, 3), ['self', '10.9.0.10/32', 'me']);
  assert.deepEqual(way('192.168.1.7').slice(0, 3), ['local', '192.168.1.0/24', 'me']);
  assert.deepEqual(way('192.168.2.7'), ['hub', '192.168.0.0/16', null, 'hub-a', 'hub-a is the active hub']);
  assert.deepEqual(way('172.16.0.9'), ['hub', '172.16.0.0/16', 'hub-a', 'hub-a', 'hub-a is a hub, and has it']);
  assert.deepEqual(way('172.17.0.9').slice(0, 4), ['hub', '172.17.0.0/16', 'other', 'hub-a']);
  assert.equal(way('8.8.8.8')[0], 'outside');
  const network = { protocol: 2, table: 254, interfaces: ['eth1'], metric: 0 };
  story.tell({ kind: 'kernel-routes', routes: [{ ...network, prefix: prefix('172.16.0.0/16') }] });
  assert.deepEqual(way('172.16.0.9').slice(0, 2), ['local', '172.16.0.0/16']);
  assert.match(story.state.routing.left.get(prefix('172.16.0.0/16')) ?? '', /the host is in this network/);
  assert.ok(hubs.length > 0);
});
