// What the agent shows of other nodes: direct tunnels, what is being resolved, and on a hub its spokes.
import type { Address } from '#proto/model/address.ts';
import { avoided } from './quality.ts';
import { measuredOf, type Readings } from './readings.ts';
import type { AgentState, BfdState, Remote } from './state.ts';

export interface PeerStatus {
  /** Empty while it is being resolved. */
  readonly node: string;
  readonly address: string;
  readonly path: 'direct' | 'hub';
  readonly state: 'resolving' | 'punching' | 'direct' | 'failed';
  readonly endpoint: string | null;
  readonly bfd: 'up' | 'init' | 'down';
  readonly rttMs: number | null;
  /** Percent of packets there and back; null while not known. */
  readonly loss: number | null;
  readonly reason: string | null;
}

export function peerStatus(state: AgentState, readings: Readings): PeerStatus[] {
  const remotes = [...state.remotes.values()].filter((remote) => remote.phase !== 'closing');
  return [
    ...remotes.map((remote) => remoteStatus(state, remote, readings)),
    ...resolving(state),
    ...spokes(state, readings),
  ];
}

function remoteStatus(state: AgentState, remote: Remote, readings: Readings): PeerStatus {
  const { target } = remote;
  const direct = remote.phase === 'direct';
  const fault = avoided(state, target.node);
  const trying = remote.rendezvous?.rounds[Math.max(0, remote.rendezvous.next - 1)];
  return {
    node: target.name,
    address: target.address,
    path: direct && fault === undefined ? 'direct' : 'hub',
    state: direct ? 'direct' : remote.phase === 'failed' ? 'failed' : 'punching',
    endpoint: readings.endpoints.get(target.publicKey) ?? trying ?? null,
    bfd: shownBfd(remote.bfd),
    ...measuredOf(readings, `direct:${target.node}`),
    reason: remote.reason ?? (direct && fault !== undefined ? `the direct path is not used: ${fault}` : null),
  };
}

/** Destinations whose node is not known (yet). */
function resolving(state: AgentState): PeerStatus[] {
  return [...state.resolutions.values()]
    .filter((entry) => !knownDestination(state, entry.destination))
    .map((entry) => ({
      node: '',
      address: entry.destination,
      path: 'hub' as const,
      state: entry.negativeUntil === undefined ? ('resolving' as const) : ('failed' as const),
      endpoint: null,
      bfd: 'down' as const,
      rttMs: null,
      loss: null,
      reason: entry.negativeUntil === undefined ? null : 'the registry has no binding for it',
    }));
}

/** On a hub: the spokes with a tunnel to it. */
function spokes(state: AgentState, readings: Readings): PeerStatus[] {
  const shown: PeerStatus[] = [];
  for (const peer of state.hub.peers?.values() ?? []) {
    const tunnel = peer.interfaces.find((own) => own.kind === 'hub-tunnel' && own.hub === state.self.node);
    if (!tunnel) continue;
    const bfd = readings.paths.get(`spoke:${peer.node}`)?.state ?? 'down';
    shown.push({
      node: peer.name,
      address: peer.address,
      path: 'direct',
      state: bfd === 'up' ? 'direct' : 'punching',
      endpoint: readings.endpoints.get(tunnel.publicKey) ?? null,
      bfd: shownBfd(bfd),
      ...measuredOf(readings, `spoke:${peer.node}`),
      reason: null,
    });
  }
  return shown;
}

function knownDestination(state: AgentState, destination: Address): boolean {
  return [...state.shortcuts.values()].some((shortcut) => shortcut.destination === destination);
}

function shownBfd(state: BfdState): 'up' | 'init' | 'down' {
  return state === 'admin-down' ? 'down' : state;
}
