// What the host should look like for a state: interfaces, peers, routes, firewall, and the BFD sessions. A projection: it
// decides nothing that step has not decided.
import { type Address, hostPrefix, overlaps, type Prefix } from '#proto/model/address.ts';
import { linkAddress, type PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { HubPeer, OverlayConfig } from '#proto/model/session.ts';
import { seconds } from '#proto/model/time.ts';
import {
  type HostState,
  forwarding6,
  interfaceSysctls,
  nothing,
  policyNumber,
  type PeerState,
  type RouteState,
  routeKey,
  ruleKey,
  type TunnelState,
} from './host.ts';
import { desiredFirewall } from './desired-firewall.ts';
import { hubRoutes, nodeAddresses, spokeRoutes } from './desired-routes.ts';
import { exitHost, isDefault } from './exit.ts';
import { place } from './install.ts';
import { carriedByPeers } from './learned.ts';
import { sharingSysctls } from './load-sharing.ts';
import { type AgentState, isOpen, type OwnInterface, type Remote } from './state.ts';

/** Below the lifetime of UDP mappings in NATs (30 s in many). */
const keepalive = seconds(25);
const off = seconds(0);

export function desiredHost(state: AgentState): HostState {
  const { config } = state;
  if (!config || state.revoked !== undefined) {
    return nothing;
  }
  const interfaces = new Map<string, TunnelState>();
  for (const own of state.interfaces.values()) {
    if (own.publicKey === undefined || !isOpen(state, own)) continue;
    interfaces.set(own.name, tunnel(state, config, own, own.publicKey));
  }
  const routes = new Map<string, RouteState>();
  const exit = exitHost(state, config);
  const add = (route: RouteState): void => {
    const open = route.interfaces.filter((name) => interfaces.has(name));
    if (open.length === 0) return;
    const wanted = open.length === route.interfaces.length ? route : { ...route, interfaces: open };
    routes.set(routeKey(wanted), wanted);
  };
  exit.routes.forEach(add);
  for (const wanted of state.self.role === 'hub' ? hubRoutes(state, config) : spokeRoutes(state, config)) {
    if (!state.routing.left.has(wanted.prefix)) add(place(state, config, wanted));
  }
  return {
    interfaces,
    routes,
    rules: new Map(exit.rules.map((rule) => [ruleKey(rule), rule])),
    firewall: { ...desiredFirewall(state, config, [...interfaces.keys()]), killSwitch: exit.killSwitch },
    sysctls: new Map([
      ...forwarding(state, config),
      ...sharingSysctls(state, config),
      ...[...interfaces.keys()].flatMap(interfaceSysctls),
    ]),
  };
}

function tunnel(state: AgentState, config: OverlayConfig, own: OwnInterface, publicKey: PublicKey): TunnelState {
  const peers = own.kind === 'hub-tunnel' ? hubTunnelPeers(state, own) : multipointPeers(state, config);
  return {
    name: own.name,
    publicKey,
    listenPort: own.listenPort,
    mtu: state.self.mtu ?? config.mtu,
    mark: state.self.exit ? policyNumber(state.self.interfacePrefix) : 0,
    up: true,
    addresses: new Set([
      ...ownAddresses(config).map(hostPrefix),
      hostPrefix(linkAddress(config.linkPrefix, publicKey)),
    ]),
    peers: new Map(peers.map((peer) => [peer.publicKey, peer])),
  };
}

function hubTunnelPeers(state: AgentState, own: OwnInterface): PeerState[] {
  for (const { hub } of state.hubs.values()) {
    if (hub.node !== own.hub || !hub.publicKey) continue;
    const everything = new Set(['0.0.0.0/0' as Prefix, '::/0' as Prefix]);
    return [{ publicKey: hub.publicKey, endpoint: hub.endpoints[0], allowedIps: everything, keepalive }];
  }
  return [];
}

function multipointPeers(state: AgentState, config: OverlayConfig): PeerState[] {
  if (state.self.role === 'hub') {
    const { peers } = state.hub;
    if (!peers) return [];
    const carried = carriedByPeers(state.learned, peers, state.hub.carriers);
    return [...peers.values()].flatMap((peer) => spokePeers(state, config, peer, carried.get(peer.node) ?? none));
  }
  // The reflector: the hub sees by it which public endpoint this interface has.
  const reflectors = [...state.hubs.values()].flatMap(({ hub, place }) =>
    hub.publicKey === undefined || place === 'none'
      ? []
      : [
          {
            publicKey: hub.publicKey,
            endpoint: hub.endpoints[0],
            allowedIps: new Set([hostPrefix(linkAddress(config.linkPrefix, hub.publicKey))]),
            keepalive,
          },
        ],
  );
  const remotes = [...state.remotes.values()].filter(hasPeer);
  const owners = ownersOf(state, remotes);
  const directs = remotes.map((remote) => directPeer(state, config, remote, owners));
  return [...reflectors, ...directs];
}

const none: readonly Prefix[] = [];

/** Of thousands of spokes one changes at a time: what was made of the others still holds. */
const knownPeers = new WeakMap<
  HubPeer,
  {
    readonly hub: NodeId;
    readonly linkPrefix: Prefix;
    readonly prefixes: readonly Prefix[];
    readonly peers: readonly PeerState[];
  }
>();

/** On a hub: the spoke's tunnel to it carries everything, its multipoint interface only shows its endpoint. */
function spokePeers(
  state: AgentState,
  config: OverlayConfig,
  peer: HubPeer,
  prefixes: readonly Prefix[],
): readonly PeerState[] {
  const hub = state.self.node;
  const { linkPrefix } = config;
  const known = knownPeers.get(peer);
  const same = known?.hub === hub && known.linkPrefix === linkPrefix;
  if (same && (known.prefixes === prefixes || known.prefixes.join() === prefixes.join())) return known.peers;
  const peers = peer.interfaces
    .filter((own) => own.kind === 'multipoint' || own.hub === hub)
    .map((own) => {
      const link = hostPrefix(linkAddress(linkPrefix, own.publicKey));
      const carried = own.kind === 'hub-tunnel' ? [...nodeAddresses(peer).map(hostPrefix), ...prefixes] : [];
      return { publicKey: own.publicKey, endpoint: undefined, allowedIps: new Set([...carried, link]), keepalive: off };
    });
  knownPeers.set(peer, { hub, linkPrefix, prefixes, peers });
  return peers;
}

function directPeer(
  state: AgentState,
  config: OverlayConfig,
  remote: Remote,
  owners: ReadonlyMap<Prefix, NodeId>,
): PeerState {
  const { target } = remote;
  const link = hostPrefix(linkAddress(config.linkPrefix, target.publicKey));
  // Of several exits, which all announce the same, one is used.
  const isExit = state.self.exit?.via === target.name;
  const prefixes = target.prefixes.filter((prefix) =>
    isDefault(prefix) ? isExit : (owners.get(prefix) ?? target.node) === target.node,
  );
  return {
    publicKey: target.publicKey,
    endpoint: remote.rendezvous?.rounds[Math.max(0, remote.rendezvous.next - 1)] ?? target.rendezvous?.rounds[0],
    allowedIps: new Set([...nodeAddresses(target).map(hostPrefix), ...prefixes, link]),
    // BFD keeps the NATs' mappings, and WireGuard's own passive keepalives when the agent is away. A persistent keepalive would
    // start a handshake before the rendezvous.
    keepalive: off,
  };
}

/** Whose a prefix is that several remotes have: the one that is used for it, else the one that is furthest on. */
function ownersOf(state: AgentState, remotes: readonly Remote[]): ReadonlyMap<Prefix, NodeId> {
  const owners = new Map<Prefix, NodeId>();
  const seen = new Map<Prefix, Remote>();
  for (const remote of remotes) {
    for (const prefix of remote.target.prefixes) {
      const other = seen.get(prefix);
      const better = other && claimTo(state, other, prefix) >= claimTo(state, remote, prefix) ? other : remote;
      seen.set(prefix, better);
      if (other) owners.set(prefix, better.target.node);
    }
  }
  return owners;
}

function claimTo(state: AgentState, { target, phase }: Remote, prefix: Prefix): number {
  const used = [...state.shortcuts.values()].some((one) => one.node === target.node && overlaps(one.prefix, prefix));
  return (used ? 4 : 0) + (phase === 'direct' ? 2 : phase === 'closing' ? 0 : 1);
}

export function hasPeer(remote: Remote): boolean {
  return remote.phase !== 'failed';
}

function forwarding(state: AgentState, config: OverlayConfig): [string, string][] {
  if (state.self.role !== 'hub' && config.prefixes.length === 0) return [];
  const four: [string, string] = ['net.ipv4.ip_forward', '1'];
  return config.address6 ? [four, [forwarding6, '1']] : [four];
}

function ownAddresses(config: OverlayConfig): Address[] {
  return config.address6 ? [config.address, config.address6] : [config.address];
}
