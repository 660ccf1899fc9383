import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { applyChange, applyChanges } from '#agent/decide/apply-changes.ts';
import type { Change } from '#agent/decide/change.ts';
import { diff } from '#agent/decide/diff.ts';
import { formatFirewallState, parseStateChains, stateChains } from '#agent/decide/firewall-state.ts';
import {
  type FirewallState,
  gatewayKey,
  type GatewayRoute,
  type HostState,
  type PeerState,
  type RouteState,
  routeKey,
  routeSlot,
  ruleKey,
  type RuleState,
  type TunnelState,
} from '#agent/decide/host.ts';
import { hostPrefix, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';
import { address, address4, endpoint } from './arbitraries.ts';

// Few names, keys and prefixes, so that two states have much in common.
const names = ['dmwg0', 'dmwg1', 'dmwg-h1', 'dmwg-h2'];
const keys = [1, 2, 3, 4, 5].map((byte) => must(parsePublicKey(Buffer.alloc(32, byte).toString('base64'))));
const prefixes = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16', '::/0', 'fd00:1::/48', 'fd00:2::/64'].map(
  (text) => must(parsePrefix(text)),
);
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(model, { noNullPrototype: true });
const interval = fc.integer({ min: 1, max: 9000 }).map(seconds);
const own = fc.uniqueArray(fc.constantFrom(...names), { maxLength: 4 });

/** No prefix is with two peers: WireGuard keeps each with one. */
const peers: fc.Arbitrary<Map<PublicKey, PeerState>> = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom(...keys)),
    fc.array(fc.constantFrom(...keys), { minLength: prefixes.length, maxLength: prefixes.length }),
    fc.option(endpoint, { nil: undefined }),
    fc.constantFrom(0, 25),
  )
  .map(([present, owners, where, keepalive]) => {
    const allowed = (key: PublicKey): Set<Prefix> => new Set(prefixes.filter((_, index) => owners[index] === key));
    return new Map(
      present.map((publicKey) => [
        publicKey,
        { publicKey, endpoint: where, allowedIps: allowed(publicKey), keepalive: seconds(keepalive) },
      ]),
    );
  });

function tunnel(name: string): fc.Arbitrary<TunnelState> {
  return record({
    name: fc.constant(name),
    publicKey: fc.option(fc.constantFrom(...keys), { nil: undefined }),
    listenPort: fc.integer({ min: 1, max: 65_535 }),
    mtu: fc.constantFrom(1280, 1420),
    mark: fc.constantFrom(0, 7),
    up: fc.boolean(),
    addresses: fc.uniqueArray(address.map(hostPrefix), { maxLength: 3 }).map((list) => new Set(list)),
    peers,
  });
}

const firewall: fc.Arbitrary<FirewallState> = record({
  indicate: own,
  apart: own,
  notice: own,
  nflogGroup: fc.integer({ min: 0, max: 65_535 }),
  indicateAgain: interval,
  account: own,
  idleTimeout: interval,
  tunnels: fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,10}(-h)?[0-9]{1,3}$/), { maxLength: 40 }),
  linkPrefix: fc.constant(must(parsePrefix('fd12:3456:789a::/64'))),
  reachable: fc.uniqueArray(address.map(hostPrefix), { maxLength: 20 }).map((prefixes) => [...prefixes].sort()),
  tracked: fc.boolean(),
  masquerade: fc.uniqueArray(fc.constantFrom('*', 'eth0', 'eth_0.1-x', 'br-0'), { maxLength: 3 }),
  sources: fc.uniqueArray(record({ mark: fc.integer({ min: 1, max: 0xffff_ffff }), address }), { maxLength: 3 }),
  killSwitch: fc.option(
    record({
      mark: fc.integer({ min: 1, max: 0xffff }),
      registries: fc.uniqueArray(endpoint, { maxLength: 3 }),
      direct: fc.uniqueArray(address.map(hostPrefix), { maxLength: 3 }),
    }),
    { nil: undefined },
  ),
});

const rule: fc.Arbitrary<RuleState> = record({
  family: fc.constantFrom(4, 6),
  priority: fc.constantFrom(10_900, 10_901),
  to: fc.option(fc.constantFrom(...prefixes), { nil: undefined }),
  from: fc.option(fc.constantFrom(...names), { nil: undefined }),
  source: fc.option(fc.constantFrom(...prefixes), { nil: undefined }),
  mark: fc.option(fc.constantFrom(1, 2), { nil: undefined }),
  without: fc.option(fc.constantFrom(1, 2), { nil: undefined }),
  table: fc.constantFrom(254, 10_900, 'unreachable' as const),
  noDefault: fc.boolean(),
});

const gateway: fc.Arbitrary<GatewayRoute> = record({
  prefix: fc.constantFrom(...prefixes),
  interface: fc.constantFrom('eth0', 'eth1'),
  via: fc.option(address4, { nil: undefined }),
  onlink: fc.constant(false),
  source: address4,
  table: fc.constantFrom(76_436, 141_972),
});

/** Routes leave by interfaces that are there, one a slot. */
const host: fc.Arbitrary<HostState> = own
  .chain((present) =>
    record({
      tunnels: fc.tuple(...present.map(tunnel)),
      routes: fc.uniqueArray(
        record({
          prefix: fc.constantFrom(...prefixes),
          interfaces: fc.subarray([...(present.length > 0 ? present : ['none'])].sort(), { minLength: 1 }),
          source: fc.option(address4, { nil: undefined }),
          metric: fc.constantFrom(0, 10, 1024),
          table: fc.constantFrom(254, 10_900),
        }),
        { selector: routeSlot, maxLength: present.length > 0 ? 10 : 0 },
      ),
      gateways: fc.uniqueArray(gateway, { selector: gatewayKey, maxLength: 4 }),
      rules: fc.uniqueArray(rule, { selector: ruleKey, maxLength: 4 }),
      firewall: fc.option(firewall, { nil: undefined }),
      forward: fc.constantFrom('0', '1'),
    }),
  )
  .map(({ tunnels, routes, gateways, rules, firewall: table, forward }) => ({
    interfaces: new Map(tunnels.map((each) => [each.name, each])),
    routes: new Map(routes.map((route): [string, RouteState] => [routeKey(route), route])),
    gateways: new Map(gateways.map((each) => [gatewayKey(each), each])),
    rules: new Map(rules.map((each): [string, RuleState] => [ruleKey(each), each])),
    firewall: table,
    sysctls: new Map([['net.ipv4.ip_forward', forward]]),
  }));

const atPeace = (state: HostState): unknown => ({
  ...state,
  interfaces: new Map(
    [...state.interfaces].map(([name, each]) => [
      name,
      { ...each, peers: new Map([...each.peers].map(([key, peer]) => [key, { ...peer, endpoint: undefined }])) },
    ]),
  ),
  routes: new Map([...state.routes].map(([key, route]) => [key, { ...route, metric: undefined }])),
  firewall: state.firewall && formatFirewallState(state.firewall),
});

test('nothing is to be done where everything is as it should be', () => {
  fc.assert(
    fc.property(host, (state) => {
      assert.deepEqual(diff(state, state), []);
    }),
  );
});

test('the changes from one state to another make the other of the one', () => {
  fc.assert(
    fc.property(host, host, (observed, desired) => {
      const changed = applyChanges(observed, diff(observed, desired));
      assert.deepEqual(atPeace(changed), atPeace(desired));
      assert.deepEqual(diff(changed, desired), []);
    }),
  );
});

test('one by one or all at once, changes mean the same, and none changes what it was given', () => {
  fc.assert(
    fc.property(host, host, (observed, desired) => {
      const before = structuredClone(observed);
      const changes = diff(observed, desired);
      assert.deepEqual(changes.reduce(applyChange, observed), applyChanges(observed, changes));
      assert.deepEqual(observed, before);
    }),
  );
});

test('any part of the changes left undone is what remains to be done', () => {
  fc.assert(
    fc.property(host, host, fc.infiniteStream(fc.boolean()), (observed, desired, coin) => {
      const half = diff(observed, desired).filter(() => coin.next().value);
      const changed = applyChanges(observed, half);
      assert.deepEqual(atPeace(applyChanges(changed, diff(changed, desired))), atPeace(desired));
    }),
  );
});

test('only what is ours is named', () => {
  fc.assert(
    fc.property(host, host, (observed, desired) => {
      const known = new Set([...observed.interfaces.keys(), ...desired.interfaces.keys()]);
      for (const change of diff(observed, desired)) {
        for (const name of interfacesOf(change)) assert.ok(known.has(name), name);
      }
    }),
  );
});

test('what a table was made from is read back from the names of its chains', () => {
  fc.assert(
    fc.property(firewall, (state) => {
      const chains = stateChains(state);
      for (const chain of chains) assert.match(chain, /^[a-z][a-zA-Z0-9_.\-/]{0,126}$/);
      const read = must(parseStateChains(['forwarding', ...chains.reverse()]));
      assert.equal(formatFirewallState(read), formatFirewallState(state));
    }),
  );
});

function interfacesOf(change: Change): string[] {
  if ('interface' in change) return [change.interface];
  if ('tunnel' in change) return [change.tunnel.name];
  if ('route' in change) return [...change.route.interfaces];
  if (change.kind === 'replace-route') return [...change.from.interfaces, ...change.to.interfaces];
  return change.kind === 'delete-interface' || change.kind === 'configure-interface' ? [change.name] : [];
}
