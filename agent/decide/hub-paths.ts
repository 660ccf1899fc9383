// Hub tunnels: liveness, and repair of a tunnel whose WireGuard session is dead. Which tunnels there are is decided
// in hub-choice.ts.
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import { after, milliseconds } from '#proto/model/time.ts';
import { note, type ObservedPeer, type Turn, warn } from './event.ts';
import { chooseHubs, openTunnel, spareHub } from './hub-choice.ts';
import { tunnelTo } from './own-interfaces.ts';
import { receive } from './reception.ts';
import { type AgentState, type BfdState, type HubPath, multipointName, withEntry } from './state.ts';

/** A tunnel that was Up is given this long to prove that packets still arrive, before its peer is made anew. */
const proofMs = 600;
const firstRepairMs = 250;
const lastRepairMs = 5000;

/** Paths for the hubs of a new configuration; what is known of those that stay is kept. */
export function configureHubs(state: AgentState, config: OverlayConfig, turn: Turn): AgentState {
  const hubs = new Map<NodeId, HubPath>();
  for (const hub of config.hubs) {
    const own = tunnelTo(state.interfaces, hub.node);
    if (!own) continue;
    const old = state.hubs.get(hub.node);
    // Another key is another tunnel: its BFD session begins anew, in Down.
    if (!old || old.hub.publicKey !== hub.publicKey) {
      const spare = spareHub(hub, own.name, turn.now);
      hubs.set(hub.node, old && old.place !== 'none' && hub.publicKey ? openTunnel(spare, turn.now) : spare);
      continue;
    }
    const moved = old.hub.endpoints[0] !== hub.endpoints[0];
    const endpoint = hub.endpoints[0];
    if (moved && endpoint && hub.publicKey) {
      turn.effects.push({ kind: 'replace-peer', interface: old.interface, publicKey: hub.publicKey, endpoint });
    }
    hubs.set(hub.node, { ...old, hub });
  }
  return chooseHubs({ ...state, hubs }, turn);
}

export function hubBfd(state: AgentState, node: NodeId, bfd: BfdState, turn: Turn): AgentState {
  const path = state.hubs.get(node);
  if (!path || path.place === 'none' || path.bfd === bfd) return state;
  const wasUp = path.bfd === 'up';
  const isUp = bfd === 'up';
  const next: HubPath = {
    ...path,
    bfd,
    since: wasUp !== isUp ? turn.now : path.since,
    everUp: path.everUp || isUp,
    returned: path.returned || wasUp,
    expectedUntil: undefined,
    repairAt: isUp ? undefined : wasUp ? after(turn.now, milliseconds(proofMs)) : path.repairAt,
    repairs: isUp ? 0 : path.repairs,
    reception: isUp ? undefined : path.reception,
  };
  if (isUp) {
    note(turn, 'hub path up', { hub: path.hub.name, interface: path.interface });
    greetReflector(state, path, turn);
  }
  if (wasUp) {
    warn(turn, 'hub path down', { hub: path.hub.name, interface: path.interface });
    turn.effects.push({ kind: 'inspect-peers', interface: path.interface });
  }
  return chooseHubs({ ...state, hubs: withEntry(state.hubs, node, next) }, turn);
}

/** The hub is there and knows us: let it see the multipoint interface now, not at WireGuard's next retry five seconds later. */
function greetReflector(state: AgentState, { hub }: HubPath, turn: Turn): void {
  const endpoint = hub.endpoints[0];
  if (state.self.role === 'hub' || !hub.publicKey || !endpoint) return;
  const { publicKey } = hub;
  turn.effects.push({ kind: 'replace-peer', interface: multipointName(state.self), publicKey, endpoint });
}

/** The same at all hubs, as something of where we are has changed. */
export function greetReflectors(state: AgentState, turn: Turn): void {
  for (const path of state.hubs.values()) if (path.bfd === 'up') greetReflector(state, path, turn);
}

/** Looks at tunnels that are not Up and whose time has come; repairHub gets the answer. */
export function inspectHubs(state: AgentState, turn: Turn): AgentState {
  let hubs = state.hubs;
  for (const [node, path] of state.hubs) {
    if (path.repairAt === undefined || path.repairAt > turn.now) continue;
    turn.effects.push({ kind: 'inspect-peers', interface: path.interface });
    const wait = Math.min(firstRepairMs * 2 ** Math.min(path.repairs, 10), lastRepairMs);
    const jittered = wait * (0.75 + turn.random() * 0.25);
    hubs = withEntry(hubs, node, {
      ...path,
      repairs: path.repairs + 1,
      repairAt: after(turn.now, milliseconds(path.everUp ? Math.max(jittered, proofMs) : jittered)),
    });
  }
  return hubs === state.hubs ? state : { ...state, hubs };
}

/**
 * The answer to a look. Without BFD but with packets arriving, the tunnel works and only the hub's agent is away: leave it.
 * With nothing arriving, the hub may have lost its keys (WireGuard would stay dark for up to two minutes): make the peer anew.
 */
export function repairHub(
  state: AgentState,
  name: string,
  peers: ReadonlyMap<PublicKey, ObservedPeer>,
  turn: Turn,
): AgentState {
  for (const [node, path] of state.hubs) {
    const { publicKey, endpoints } = path.hub;
    if (path.interface !== name || path.bfd === 'up' || publicKey === undefined) continue;
    const seen = peers.get(publicKey);
    if (!seen) return state;
    const { reception, arrived } = receive(path.reception, seen.rxBytes, turn.now);
    // Each try at the next of its endpoints.
    const endpoint = endpoints[path.repairs % Math.max(1, endpoints.length)];
    if (!arrived && endpoint) {
      turn.effects.push({ kind: 'replace-peer', interface: name, publicKey, endpoint });
    }
    turn.effects.push({ kind: 'kick', path: `hub:${node}` });
    return { ...state, hubs: withEntry(state.hubs, node, { ...path, reception }) };
  }
  return state;
}
