// What a hub passes on to another hub: the packets for spokes that only the other one reaches. Hubs tell each other over their
// tunnels which spokes they reach. What came from a hub goes to the spoke itself, whatever is believed of it here: two hubs that each
// believe the other one reaches it, as when its agent was restarted, neither lose a packet nor send it round.
import { type Address, type Family, hostPrefix, type Prefix } from '#proto/model/address.ts';
import { linkAddress } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import { after, milliseconds } from '#proto/model/time.ts';
import { note, type Reach, type Turn } from './event.ts';
import { policyNumber, type RouteState, type RuleState, ruleOf } from './host.ts';
import { hubMetric } from './install.ts';
import { carriedByPeers } from './learned.ts';
import { type AgentState, type HubPath, isOpen, multipointName, withEntry } from './state.ts';

/** A hub that was started has not heard of its spokes yet: they are given this long. */
const settlingMs = milliseconds(3000);

/** The ends of the tunnel to another hub. */
export interface ReachLink {
  readonly local: Address;
  readonly remote: Address;
  readonly up: boolean;
}

export function reached(state: AgentState, { hub, snapshot, up, down }: Reach): AgentState {
  if (state.self.role !== 'hub' || !state.hubs.has(hub)) return state;
  const nodes = new Set(snapshot ? [] : state.hub.reach.get(hub));
  for (const node of down) nodes.delete(node);
  for (const node of up) nodes.add(node);
  return { ...state, hub: { ...state.hub, reach: withEntry(state.hub.reach, hub, nodes) } };
}

/** Over which links this hub tells others what it reaches; none on a spoke. */
export function reachLinks(state: AgentState): ReadonlyMap<NodeId, ReachLink> {
  const links = new Map<NodeId, ReachLink>();
  const { config } = state;
  if (state.self.role !== 'hub' || !config || state.revoked !== undefined) return links;
  for (const [node, path] of state.hubs) {
    const own = state.interfaces.get(path.interface)?.publicKey;
    const { publicKey } = path.hub;
    if (!own || !publicKey || path.place === 'none') continue;
    const [local, remote] = [own, publicKey].map((key) => linkAddress(config.linkPrefix, key));
    if (local && remote) links.set(node, { local, remote, up: path.bfd === 'up' });
  }
  return links;
}

/** By which other hub each spoke is reached that is not reached from here. */
export function chooseTransit(state: AgentState, turn: Turn): AgentState {
  const { hub } = state;
  if (state.self.role !== 'hub' || !hub.peers || state.hubs.size === 0) return state;
  const settledAt = hub.settledAt ?? after(turn.now, settlingMs);
  if (settledAt > turn.now) return hub.settledAt === settledAt ? state : { ...state, hub: { ...hub, settledAt } };
  const madeOf = [hub.peers, hub.up, hub.reach, state.hubs];
  if (madeOf.every((input, index) => input === hub.beyondOf[index])) return state;
  const ways = [...state.hubs.values()].filter((path) => path.bfd === 'up').sort(byRank);
  const beyond = new Map<NodeId, NodeId>();
  for (const node of hub.peers.keys()) {
    if (hub.up.has(node)) continue;
    const way = ways.find((path) => hub.reach.get(path.hub.node)?.has(node));
    const via = way?.hub.node ?? keptWay(state, node);
    if (via !== undefined) beyond.set(node, via);
  }
  const same = beyond.size === hub.beyond.size && [...beyond].every(([node, via]) => hub.beyond.get(node) === via);
  if (!same) note(turn, 'spokes reached by other hubs', { count: beyond.size });
  return { ...state, hub: { ...hub, settledAt, beyond: same ? hub.beyond : beyond, beyondOf: madeOf } };
}

/** A hub whose agent is silent goes on forwarding: what went by it stays, until somebody knows better. */
function keptWay(state: AgentState, node: NodeId): NodeId | undefined {
  const via = state.hub.beyond.get(node);
  const path = via === undefined ? undefined : state.hubs.get(via);
  return path && path.bfd !== 'up' && path.place !== 'none' ? via : undefined;
}

function byRank({ hub: a }: HubPath, { hub: b }: HubPath): number {
  return a.cluster - b.cluster || a.priority - b.priority || (a.node < b.node ? -1 : 1);
}

/** What goes to other hubs, by prefix: the interface. */
export function transitPrefixes(state: AgentState): ReadonlyMap<Prefix, string> {
  const { hub } = state;
  const routed = new Map<Prefix, string>();
  if (!hub.peers || hub.beyond.size === 0) return routed;
  const carried = carriedByPeers(state.learned, hub.peers, hub.carriers);
  for (const [node, via] of hub.beyond) {
    const peer = hub.peers.get(node);
    const path = state.hubs.get(via);
    if (!peer || !path) continue;
    const addresses = peer.address6 ? [peer.address, peer.address6] : [peer.address];
    for (const prefix of [...addresses.map(hostPrefix), ...(carried.get(node) ?? [])])
      routed.set(prefix, path.interface);
  }
  return routed;
}

/** The rules by which packets of other hubs find the table of what would else go back to a hub. */
export function transitHost(
  state: AgentState,
  config: OverlayConfig,
): { readonly routes: RouteState[]; readonly rules: RuleState[] } {
  const number = policyNumber(state.self.interfacePrefix) + 8;
  const multipoint = multipointName(state.self);
  const tunnels = [...state.interfaces.values()].filter((own) => own.kind === 'hub-tunnel' && isOpen(state, own));
  if (state.self.role !== 'hub') return { routes: [], rules: [] };
  const families: Family[] = config.address6 ? [4, 6] : [4];
  return {
    routes: [...transitPrefixes(state).keys()].map((prefix) => ({
      prefix,
      interfaces: [multipoint],
      source: undefined,
      metric: hubMetric,
      table: number,
    })),
    rules: tunnels.flatMap(({ name }) =>
      families.map((family) => ruleOf({ family, priority: number, from: name, table: number })),
    ),
  };
}
