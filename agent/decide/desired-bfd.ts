// Which BFD sessions there should be for a state.
import type { Address } from '#proto/model/address.ts';
import { linkAddress, type PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { HubPeer, OverlayConfig } from '#proto/model/session.ts';
import type { Instant, Milliseconds } from '#proto/model/time.ts';
import type { PathId } from './event.ts';
import { type AgentState, multipointName } from './state.ts';
import { probeKey } from './uplinks.ts';

export interface BfdSession {
  /** Link addresses of the own interface and of the other end's. */
  readonly local: Address;
  readonly remote: Address;
  readonly interval: Milliseconds;
  readonly multiplier: number;
  /** RFC 5880 6.1: a passive end sends nothing before it has heard. */
  readonly role: 'active' | 'passive';
}

export function desiredBfd(state: AgentState, now: Instant): ReadonlyMap<PathId, BfdSession> {
  const sessions = new Map<PathId, BfdSession>();
  const { config } = state;
  const multipoint = state.interfaces.get(multipointName(state.self))?.publicKey;
  if (!config || !multipoint || state.revoked !== undefined) return sessions;
  const add = (path: PathId, own: PublicKey, other: PublicKey, role: BfdSession['role']): void => {
    sessions.set(path, {
      local: linkAddress(config.linkPrefix, own),
      remote: linkAddress(config.linkPrefix, other),
      interval: config.bfdInterval,
      multiplier: config.bfdMultiplier,
      role,
    });
  };
  const probes = [...state.interfaces.values()].filter(({ kind }) => kind === 'probe');
  for (const [node, path] of state.hubs) {
    const own = state.interfaces.get(path.interface)?.publicKey;
    if (!path.hub.publicKey || path.place === 'none') continue;
    if (own) add(`hub:${node}`, own, path.hub.publicKey, 'active');
    for (const { uplink = '', publicKey } of probes) {
      if (publicKey) add(`uplink:${probeKey(node, uplink)}`, publicKey, path.hub.publicKey, 'active');
    }
  }
  for (const [node, remote] of state.remotes) {
    const started = remote.rendezvous === undefined || remote.rendezvous.startAt <= now;
    const wanted =
      remote.phase === 'direct' || remote.phase === 'recovering' || (remote.phase === 'punching' && started);
    if (wanted) add(`direct:${node}`, multipoint, remote.target.publicKey, 'active');
  }
  for (const peer of state.hub.peers?.values() ?? []) {
    const known = knownSessions.get(peer);
    if (known?.hub === state.self.node && known.config === config && known.key === multipoint) {
      for (const [path, session] of known.sessions) sessions.set(path, session);
      continue;
    }
    const paths = pathsTo(state.self.node, peer);
    for (const [path, key] of paths) add(path, multipoint, key, 'passive');
    const made = new Map([...paths.keys()].flatMap((path) => [[path, sessions.get(path) as BfdSession]] as const));
    knownSessions.set(peer, { hub: state.self.node, config, key: multipoint, sessions: made });
  }
  return sessions;
}

/** Of thousands of spokes one changes at a time: the sessions with the others are still the same. */
const knownSessions = new WeakMap<
  HubPeer,
  {
    readonly hub: NodeId;
    readonly config: OverlayConfig;
    readonly key: PublicKey;
    readonly sessions: ReadonlyMap<PathId, BfdSession>;
  }
>();

/** The interfaces of a spoke that a hub watches: its tunnel to this hub, and its probes. */
function pathsTo(hub: NodeId, { node, interfaces }: HubPeer): ReadonlyMap<PathId, PublicKey> {
  const paths = new Map<PathId, PublicKey>();
  for (const own of interfaces) {
    if (own.kind === 'probe') paths.set(`probe:${own.publicKey}`, own.publicKey);
    else if (own.kind === 'hub-tunnel' && own.hub === hub) paths.set(`spoke:${node}`, own.publicKey);
  }
  return paths;
}
