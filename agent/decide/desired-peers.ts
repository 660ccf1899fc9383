// The WireGuard peers of the desired host: a part of the projection of desired.ts.
import { hostPrefix, overlaps, type Prefix } from '#proto/model/address.ts';
import { linkAddress } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { HubPeer, OverlayConfig } from '#proto/model/session.ts';
import { seconds } from '#proto/model/time.ts';
import { nodeAddresses } from './desired-routes.ts';
import { isDefault } from './exit.ts';
import type { PeerState } from './host.ts';
import { carriedByPeers } from './learned.ts';
import type { AgentState, OwnInterface, Remote } from './state.ts';

/** Below the lifetime of UDP mappings in NATs (30 s in many). */
const keepalive = seconds(25);
const off = seconds(0);

export function peersOf(state: AgentState, config: OverlayConfig, own: OwnInterface): PeerState[] {
  switch (own.kind) {
    case 'hub-tunnel':
      return hubTunnelPeers(state, own);
    case 'multipoint':
      return multipointPeers(state, config);
    case 'probe':
      return reflectors(state, config);
  }
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
  const remotes = [...state.remotes.values()].filter(hasPeer);
  const owners = ownersOf(state, remotes);
  const directs = remotes.map((remote) => directPeer(state, config, remote, owners));
  return [...reflectors(state, config), ...directs];
}

/** Hubs as peers that carry nothing: they see by them which public endpoint this interface has, and answer BFD. */
function reflectors({ hubs }: AgentState, config: OverlayConfig): PeerState[] {
  return [...hubs.values()].flatMap(({ hub, place: held }) => {
    if (hub.publicKey === undefined || held === 'none') return [];
    const allowedIps = new Set([hostPrefix(linkAddress(config.linkPrefix, hub.publicKey))]);
    return [{ publicKey: hub.publicKey, endpoint: hub.endpoints[0], allowedIps, keepalive }];
  });
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

/** On a hub: the spoke's tunnel to it carries everything, its other interfaces only show where they are. */
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
    .filter((own) => own.kind !== 'hub-tunnel' || own.hub === hub)
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

function hasPeer(remote: Remote): boolean {
  return remote.phase !== 'failed';
}
