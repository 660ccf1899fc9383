import assert from 'node:assert/strict';
import test from 'node:test';
import type { Change } from '#agent/decide/change.ts';
import { diff } from '#agent/decide/diff.ts';
import {
  type HostState,
  isOwnInterface,
  type PeerState,
  routeKey,
  type RouteState,
  type TunnelState,
} from '#agent/decide/host.ts';
import { parsePrefix } from '#proto/model/address.ts';
import { parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';

const key = (byte: number) => must(parsePublicKey(Buffer.alloc(32, byte).toString('base64')));
const prefix = (text: string) => must(parsePrefix(text));

function peer(byte: number, allowed: readonly string[], settings: Partial<PeerState> = {}): PeerState {
  const allowedIps = new Set(allowed.map(prefix));
  return { publicKey: key(byte), endpoint: undefined, allowedIps, keepalive: seconds(0), ...settings };
}

function tunnel(name: string, peers: readonly PeerState[], settings: Partial<TunnelState> = {}): TunnelState {
  return {
    name,
    publicKey: key(1),
    listenPort: 51820,
    mtu: 1400,
    mark: 0,
    up: true,
    addresses: new Set([prefix('10.99.0.1/32')]),
    peers: new Map(peers.map((each) => [each.publicKey, each])),
    ...settings,
  };
}

function route(text: string, device: string, metric = 100): RouteState {
  return { prefix: prefix(text), interfaces: device.split(','), source: undefined, metric, table: 254 };
}

function host(tunnels: readonly TunnelState[], routes: readonly RouteState[] = []): HostState {
  return {
    interfaces: new Map(tunnels.map((each) => [each.name, each])),
    routes: new Map(routes.map((each) => [routeKey(each), each])),
    gateways: new Map(),
    rules: new Map(),
    firewall: undefined,
    sysctls: new Map(),
  };
}

const kinds = (changes: readonly Change[]): string[] => changes.map((change) => change.kind);

test('a new interface gets its peers and routes after it', () => {
  const desired = host([tunnel('dmwg0', [peer(2, ['10.1.0.0/16'])])], [route('10.1.0.0/16', 'dmwg0')]);
  assert.deepEqual(kinds(diff(host([]), desired)), ['create-interface', 'add-peer', 'add-route']);
});

test('an interface that goes takes its peers and routes with it, and those that stay move before', () => {
  const observed = host(
    [tunnel('dmwg0', []), tunnel('dmwg-h1', [peer(2, ['0.0.0.0/0'])])],
    [route('10.0.0.0/8', 'dmwg-h1'), route('10.1.0.0/16', 'dmwg-h1')],
  );
  const desired = host([tunnel('dmwg0', [])], [route('10.0.0.0/8', 'dmwg0')]);
  assert.deepEqual(diff(observed, desired), [
    { kind: 'replace-route', from: route('10.0.0.0/8', 'dmwg-h1'), to: route('10.0.0.0/8', 'dmwg0') },
    { kind: 'delete-interface', name: 'dmwg-h1' },
  ]);
});

test('a way of several goes, comes, and goes with its interface', () => {
  const tunnels = [tunnel('dmwg-h1', []), tunnel('dmwg-h2', [])];
  const [both, one] = [
    host(tunnels, [route('10.0.0.0/8', 'dmwg-h1,dmwg-h2')]),
    host(tunnels, [route('10.0.0.0/8', 'dmwg-h2')]),
  ];
  assert.deepEqual(kinds(diff(both, one)), ['replace-route']);
  assert.deepEqual(kinds(diff(one, both)), ['replace-route']);
  assert.deepEqual(kinds(diff(both, host(tunnels))), ['remove-route']);
  const left = host(tunnels.slice(1), [route('10.0.0.0/8', 'dmwg-h2')]);
  assert.deepEqual(
    kinds(diff(both, left)),
    ['replace-route', 'delete-interface'],
    'or the kernel would drop the whole route',
  );
});

test('where a peer is now is no reason for a change', () => {
  const there = peer(2, ['10.1.0.0/16'], { endpoint: must(parseEndpoint('192.0.2.1:1')) });
  assert.deepEqual(diff(host([tunnel('dmwg0', [there])]), host([tunnel('dmwg0', [peer(2, ['10.1.0.0/16'])])])), []);
});

test('a prefix that moves to another peer is taken by the new one before the old one loses it', () => {
  const observed = host([tunnel('dmwg0', [peer(2, ['10.1.0.0/16'])])]);
  const desired = host([tunnel('dmwg0', [peer(3, ['10.1.0.0/16'])])]);
  assert.deepEqual(kinds(diff(observed, desired)), ['add-peer', 'remove-peer']);
});

test('a port that the kernel chose stays', () => {
  const desired = host([tunnel('dmwg0', [], { listenPort: 0 })]);
  assert.deepEqual(diff(host([tunnel('dmwg0', [])]), desired), []);
  assert.deepEqual(kinds(diff(host([tunnel('dmwg0', [], { listenPort: 0 })]), host([tunnel('dmwg0', [])]))), [
    'configure-interface',
  ]);
});

test('the metric that Linux gives an IPv6 route without one is none', () => {
  const observed = host([tunnel('dmwg0', [])], [route('fd00::/48', 'dmwg0', 1024)]);
  assert.deepEqual(diff(observed, host([tunnel('dmwg0', [])], [route('fd00::/48', 'dmwg0', 0)])), []);
});

test('of names that begin like ours, only those that are ours', () => {
  const own = ['dmwg0', 'dmwg-h1', 'dmwg-h12'];
  for (const name of own) assert.ok(isOwnInterface('dmwg', name), name);
  for (const name of ['dmwg', 'dmwg1', 'dmwg-h0', 'dmwgx0', 'dmwg-h', 'dmwg-x1', 'dmwg0a', 'eth0', 'xdmwg0']) {
    assert.ok(!isOwnInterface('dmwg', name), name);
  }
});

test('settings of an interface are set again when they are there and differ', () => {
  const name = 'net.ipv4.conf.dmwg0.rp_filter';
  const desired = { ...host([tunnel('dmwg0', [])]), sysctls: new Map([[name, '2']]) };
  assert.deepEqual(kinds(diff(host([]), desired)), ['create-interface']);
  assert.deepEqual(diff({ ...desired, sysctls: new Map([[name, '1']]) }, desired), [
    { kind: 'set-sysctl', name, from: '1', to: '2' },
  ]);
  const missing = { ...desired, sysctls: new Map([['net.ipv4.ip_forward', '1']]) };
  assert.deepEqual(kinds(diff({ ...desired, sysctls: new Map() }, missing)), ['set-sysctl']);
});
