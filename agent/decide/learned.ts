// Prefixes that other nodes announce, as the registry distributes them.
import {
  type Address,
  addressBits,
  familyOf,
  lengthOf,
  networkOf,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import type { HubPeer, RegistryMessage } from '#proto/model/session.ts';
import { note, type Turn } from './event.ts';
import type { AgentState } from './state.ts';

type LearnedRoutes = ReadonlyMap<Prefix, LearnedRoute>;

export function routeSync(
  state: AgentState,
  sync: Extract<RegistryMessage, { type: 'route-sync' }>,
  turn: Turn,
): AgentState {
  const { learned, learning } = state;
  // A snapshot is put together aside; a delta applies to what there is.
  const routes = new Map(sync.snapshot ? [] : (learning ?? learned ?? []));
  for (const prefix of sync.remove) routes.delete(prefix);
  for (const route of sync.upsert) routes.set(route.prefix, route);
  const assembling = (sync.snapshot || learning !== undefined) && !sync.complete;
  if (assembling) return { ...state, learning: routes };
  note(turn, 'routes', { count: routes.size, upsert: sync.upsert.length, remove: sync.remove.length });
  return { ...state, learned: routes, learning: undefined };
}

/** Whether traffic for all of the prefix goes to a hub: a summary or a learned route is around it. */
export function isRouted({ config, learned }: Pick<AgentState, 'config' | 'learned'>, prefix: Prefix): boolean {
  return isInside(prefix, new Set(config?.summaries)) || (learned !== undefined && isInside(prefix, learned));
}

/** Whether one of the prefixes is the same or contains it. */
export function isInside(prefix: Prefix, prefixes: Pick<ReadonlySet<Prefix>, 'has' | 'size'>): boolean {
  const address = networkOf(prefix);
  for (let length = lengthOf(prefix); length >= 0 && prefixes.size > 0; length--) {
    if (prefixes.has(prefixOf(address, length))) return true;
  }
  return false;
}

/** The most specific learned route around an address. */
export function learnedAround(learned: LearnedRoutes | undefined, address: Address): LearnedRoute | undefined {
  if (!learned || learned.size === 0) return undefined;
  for (let length = addressBits(familyOf(address)); length >= 0; length--) {
    const route = learned.get(prefixOf(address, length));
    if (route) return route;
  }
  return undefined;
}

/** Made anew only when something of it changed. */
const knownCarried = new WeakMap<
  LearnedRoutes,
  { readonly here: object; readonly carriers: object; readonly carried: ReadonlyMap<NodeId, readonly Prefix[]> }
>();

/** What each peer of a hub carries. */
export function carriedByPeers(
  learned: LearnedRoutes | undefined,
  peers: ReadonlyMap<NodeId, HubPeer>,
  carriers: ReadonlyMap<Prefix, NodeId>,
): ReadonlyMap<NodeId, readonly Prefix[]> {
  if (!learned) return new Map();
  const known = knownCarried.get(learned);
  if (known?.here === peers && known.carriers === carriers) return known.carried;
  const carried = carriedBy(learned, peers, carriers);
  knownCarried.set(learned, { here: peers, carriers, carried });
  return carried;
}

/** What each node carries, of nodes that are `here`: a prefix goes to the one that is chosen, else to the best that announces it. */
export function carriedBy(
  learned: LearnedRoutes | undefined,
  here: Pick<ReadonlyMap<NodeId, unknown>, 'has'>,
  chosen: ReadonlyMap<Prefix, NodeId> = new Map(),
): ReadonlyMap<NodeId, readonly Prefix[]> {
  const carried = new Map<NodeId, Prefix[]>();
  for (const { prefix, origins } of learned?.values() ?? []) {
    const best = chosen.get(prefix) ?? origins.find(({ node }) => here.has(node))?.node;
    if (best === undefined) continue;
    const known = carried.get(best);
    if (known) known.push(prefix);
    else carried.set(best, [prefix]);
  }
  return carried;
}
