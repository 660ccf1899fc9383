// Parts of a host state, for the tests of the agent's hands.
import { randomBytes } from 'node:crypto';
import {
  type FirewallState,
  type HostState,
  type PeerState,
  type RouteState,
  routeKey,
  type TunnelState,
} from '#agent/decide/host.ts';
import { parsePrefix, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';
import { mainTable } from '#proto/model/routing.ts';
import { seconds } from '#proto/model/time.ts';
import type { HostNamespace } from './host-namespace.ts';

export const prefix = (text: string): Prefix => must(parsePrefix(text));
export const endpoint = (text: string): Endpoint => must(parseEndpoint(text));
const linkPrefix = prefix('fd6d:7764:6700::/64');

export function randomKey(): PublicKey {
  const bytes = randomBytes(32);
  return must(parsePublicKey(bytes.toString('base64')));
}

export function peer(allowed: readonly string[], settings: Partial<PeerState> = {}): PeerState {
  return {
    publicKey: randomKey(),
    endpoint: endpoint('127.0.0.1:4242'),
    allowedIps: new Set(allowed.map(prefix)),
    keepalive: seconds(0),
    ...settings,
  };
}

export async function tunnel(
  host: HostNamespace,
  name: string,
  addresses: readonly string[],
  peers: readonly PeerState[] = [],
): Promise<TunnelState> {
  return {
    name,
    publicKey: await host.key(name),
    listenPort: 10_000 + (randomBytes(2).readUInt16BE() >> 1),
    mtu: 1400,
    mark: 0,
    up: true,
    addresses: new Set(addresses.map(prefix)),
    peers: new Map(peers.map((each) => [each.publicKey, each])),
  };
}

export function route(
  text: string,
  devices: string | readonly string[],
  settings: Partial<RouteState> = {},
): RouteState {
  return {
    prefix: prefix(text),
    interfaces: [devices].flat(),
    source: undefined,
    metric: 100,
    table: mainTable,
    ...settings,
  };
}

export function firewall(host: HostNamespace, settings: Partial<FirewallState> = {}): FirewallState {
  return {
    apart: [],
    indicate: [],
    notice: [],
    nflogGroup: 4000,
    indicateAgain: seconds(60),
    account: [],
    idleTimeout: seconds(60),
    tunnels: [`${host.prefix}0`, `${host.prefix}-h1`].sort(),
    linkPrefix,
    reachable: [],
    tracked: false,
    masquerade: [],
    sources: [],
    killSwitch: undefined,
    ...settings,
  };
}

export function state(
  tunnels: readonly TunnelState[],
  routes: readonly RouteState[],
  rest: Partial<HostState> = {},
): HostState {
  return {
    interfaces: new Map(tunnels.map((each) => [each.name, each])),
    routes: new Map(routes.map((each) => [routeKey(each), each])),
    gateways: new Map(),
    rules: new Map(),
    firewall: undefined,
    sysctls: new Map(),
    ...rest,
  };
}
