// Which routes of the kernel a node announces, and which not, and why.
import assert from 'node:assert/strict';
import test from 'node:test';
import { announce, type Announced, nothingAnnounced } from '#agent/decide/announce.ts';
import type { KernelRoute } from '#agent/decide/kernel-routes.ts';
import { lookAt, looked, unhurried } from '#agent/decide/look-pace.ts';
import { parseAgentConfig } from '#proto/codec/agent-config.ts';
import { parsePrefix, type Prefix } from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';
import { defaultRouting, type RoutingConfig } from '#proto/model/routing.ts';
import { type Instant, milliseconds } from '#proto/model/time.ts';

const prefix = (text: string): Prefix => must(parsePrefix(text));

function routing(yaml: string): RoutingConfig {
  const head =
    'version: 1\noverlay: lab\nnode: {id: "0123456789abcdef", name: a, role: spoke, address: 10.0.0.2}\nregistry: [r:1]\n';
  return must(parseAgentConfig(`${head}routing: ${yaml}\n`)).routing;
}

function route(text: string, settings: Partial<KernelRoute> = {}): KernelRoute {
  return { prefix: prefix(text), protocol: 188, table: 254, interfaces: ['eth1'], metric: 20, ...settings };
}

interface Case {
  readonly rules: string;
  readonly routes: readonly KernelRoute[];
  readonly fixed?: readonly string[];
  readonly learned?: Readonly<Record<string, string>>;
  readonly before?: Announced;
  readonly now?: number;
}

function decide({ rules, routes, fixed = [], learned = {}, before = nothingAnnounced, now = 0 }: Case): Announced {
  const inputs = {
    prefixes: fixed.map(prefix),
    routing: routing(rules),
    routes,
    originOf: (one: Prefix) => learned[one],
  };
  return announce(inputs, before, { now: now as Instant, random: () => 0.5 });
}

const said = (announced: Announced): string[] =>
  [...announced.announcements.values()].map(({ prefix: one, preference }) => `${one} ${String(preference)}`);

const kernel = [
  route('10.1.0.0/24', { protocol: 2 }),
  route('10.2.0.0/24', { protocol: 2, interfaces: ['eth0'] }),
  route('10.3.0.0/16'),
  route('10.3.4.0/24'),
  route('10.3.4.5/32'),
  route('10.4.0.0/16', { protocol: 186, interfaces: ['eth2', 'eth3'] }),
  route('10.5.0.0/16', { table: 77 }),
  route('10.6.0.0/16', { metric: 110 }),
  route('0.0.0.0/0'),
  route('fd03::/48'),
];

const cases: readonly [name: string, rules: string, expected: readonly string[]][] = [
  ['nothing without a rule', '{}', []],
  ['a connected network', '{connected: [eth1]}', ['10.1.0.0/24 0']],
  ['a protocol by name', '{import: [{protocol: bgp}]}', ['10.4.0.0/16 0']],
  ['a protocol by number', '{import: [{protocol: 186}]}', ['10.4.0.0/16 0']],
  [
    'no default route unless it is named',
    '{import: [{metric: 20, protocol: ospf, prefixes: [10.3.0.0/16]}]}',
    ['10.3.0.0/16 0'],
  ],
  [
    'any protocol but the kernel itself',
    '{import: [{prefixes: [10.0.0.0/8 le 16]}]}',
    ['10.3.0.0/16 0', '10.4.0.0/16 0', '10.6.0.0/16 0'],
  ],
  ['lengths', '{import: [{protocol: ospf, prefixes: [10.3.0.0/16 ge 24 le 24]}]}', ['10.3.4.0/24 0']],
  [
    'exceptions',
    '{import: [{protocol: ospf, prefixes: [10.3.0.0/16 le 32], except: [10.3.0.0/16 ge 25]}]}',
    ['10.3.0.0/16 0', '10.3.4.0/24 0'],
  ],
  ['one of several interfaces', '{import: [{interface: eth3}]}', ['10.4.0.0/16 0']],
  ['a table', '{import: [{table: 77}]}', ['10.5.0.0/16 0']],
  ['a range of metrics', '{import: [{metric: [100, 200]}]}', ['10.6.0.0/16 0']],
  [
    'the first rule that matches gives the preference',
    '{import: [{prefixes: [10.6.0.0/16], preference: 9}, {metric: [0, 200], prefixes: [10.0.0.0/8 le 16], preference: 5}]}',
    ['10.3.0.0/16 5', '10.4.0.0/16 5', '10.6.0.0/16 9'],
  ],
  [
    'static ones, with a preference',
    '{static: [10.8.0.0/16, {prefix: 10.9.0.0/16, preference: 7}]}',
    ['10.8.0.0/16 0', '10.9.0.0/16 7'],
  ],
  ['IPv6', '{import: [{prefixes: ["fd00::/8 le 64"]}]}', ['fd03::/48 0']],
];

for (const [name, rules, expected] of cases) {
  test(`picks ${name}`, () => {
    assert.deepEqual(said(decide({ rules, routes: kernel })), expected);
  });
}

const all = '{import: [{protocol: ospf}]}';

test('what the overlay has from another node is not announced back, unless it is static', () => {
  const learned = { '10.3.0.0/16': 'branch', '10.3.4.0/24': 'branch' };
  const routes = [route('10.3.0.0/16'), route('10.3.4.0/24'), route('10.7.0.0/16')];
  const announced = decide({ rules: all, routes, learned, fixed: ['10.3.4.0/24'] });
  assert.deepEqual(said(announced), ['10.3.4.0/24 0', '10.7.0.0/16 0']);
  assert.match(announced.withheld.get(prefix('10.3.0.0/16')) ?? '', /learned from branch/);
});

test('a default route says that its halves are to be announced', () => {
  const announced = decide({ rules: '{import: [{prefixes: [0.0.0.0/0]}]}', routes: [route('0.0.0.0/0')] });
  assert.deepEqual(said(announced), []);
  assert.match(announced.withheld.get(prefix('0.0.0.0/0')) ?? '', /halves/);
});

test('over the limit, what was announced goes on, and the rest says so', () => {
  const rules = '{limit: 3, import: [{protocol: ospf}]}';
  const numbered = (from: number, to: number): KernelRoute[] =>
    Array.from({ length: to - from }, (_, index) => route(`10.${String(from + index)}.0.0/16`));
  const first = decide({ rules, routes: numbered(10, 12), fixed: ['192.168.0.0/24'] });
  const flooded = decide({ rules, routes: numbered(0, 200), fixed: ['192.168.0.0/24'], before: first });
  assert.deepEqual(said(flooded), said(first));
  assert.equal(flooded.withheld.size, 198);
  assert.deepEqual([...flooded.flaps], []);
});

test('a route that flaps is announced again only once it is quiet; another one is not concerned', () => {
  let state = nothingAnnounced;
  let changes = 0;
  const other = route('10.9.0.0/16');
  for (let now = 0; now < 60_000; now += 1000) {
    const there = (now / 1000) % 2 === 0;
    const next = decide({ rules: all, routes: there ? [route('10.3.0.0/16'), other] : [other], before: state, now });
    if (said(next).join() !== said(state).join()) changes += 1;
    assert.ok(next.announcements.has(other.prefix));
    state = next;
  }
  assert.ok(changes >= 2 && changes <= 12, `${String(changes)} changes in a minute`);
  const routes = [route('10.3.0.0/16'), other];
  state = decide({ rules: all, routes, before: state, now: 60_000 });
  assert.match(state.withheld.get(prefix('10.3.0.0/16')) ?? '', /flaps/);
  const again = state.nextAt ?? 0;
  assert.ok(again > 60_000 && again <= 87_000, String(again));
  assert.ok(!decide({ rules: all, routes, before: state, now: again - 100 }).announcements.has(prefix('10.3.0.0/16')));
  assert.ok(decide({ rules: all, routes, before: state, now: again }).announcements.has(prefix('10.3.0.0/16')));
});

test('two withdrawals and returns in a row are no flapping', () => {
  let state = nothingAnnounced;
  for (const [now, there] of [true, false, true, false, true].entries()) {
    state = decide({ rules: all, routes: there ? [route('10.3.0.0/16')] : [], before: state, now: now * 500 });
    assert.equal(state.announcements.size, there ? 1 : 0);
  }
});

test('the kernel is looked at at once, and ever more seldom while it does not come to rest', () => {
  let pace = unhurried;
  let now = 5000 as Instant;
  const looks: number[] = [];
  while (now < 10_000) {
    looks.push(now);
    pace = looked(pace, now, milliseconds(5));
    // It changes all the time.
    now = lookAt(pace, (now + 1) as Instant);
  }
  assert.equal(looks[0], 5000);
  assert.ok(looks.length <= 12, looks.join(' '));
  assert.ok((looks[2] ?? Infinity) < 5200, looks.join(' '));
  const later = (now + 10_000) as Instant;
  assert.equal(lookAt(pace, later), later);
  assert.ok(lookAt(looked(pace, later, milliseconds(5)), later) - later < 100);
});

test('agent.yaml without routing is the default', () => {
  assert.deepEqual(routing('{}'), defaultRouting);
});
