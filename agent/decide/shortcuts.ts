// The cache of bindings: shortcuts, each with a route while its remote is direct.
import { type Address, containsAddress, hostPrefix, overlaps, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, endpointAddress } from '#proto/model/endpoint.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Target } from '#proto/model/nhrp.ts';
import {
  after,
  type Instant,
  type Milliseconds,
  milliseconds,
  type Seconds,
  toMilliseconds,
} from '#proto/model/time.ts';
import { outranks } from './cache.ts';
import type { Turn } from './event.ts';
import { isDefault } from './exit.ts';
import { isRouted } from './learned.ts';
import { meet, retire } from './remotes.ts';
import { announcedPrefixes } from './routing-state.ts';
import { type AgentState, type Shortcut, withEntry } from './state.ts';

/** However little of a holding time remains, a binding is not asked for again sooner. */
const soonestRefreshMs = 10_000;

/** What a reply or a request told about a prefix. */
export interface Learned {
  readonly prefix: Prefix;
  readonly type: Shortcut['type'];
  readonly target: Target;
  /** Where it is known to be. */
  readonly endpoints: readonly Endpoint[];
  readonly holdingTime: Seconds;
  readonly source: Address;
  readonly destination: Address;
}

/** Caches a binding, unless a better one is held, and starts the tunnel to its node. */
export function learn(state: AgentState, learned: Learned, turn: Turn): AgentState {
  const { target } = learned;
  // An exit is reached at its own address; what is behind it has a route of its own (exit.ts).
  const outside = isDefault(learned.prefix);
  if (outside && target.name !== state.self.exit?.via) return state;
  const destination = outside ? target.address : learned.destination;
  const prefix = outside ? hostPrefix(target.address) : learned.prefix;
  if (state.self.role !== 'spoke' || target.node === state.self.node) return state;
  // A hub is reached by its hub tunnel already.
  if (state.hubs.has(target.node)) return state;
  if (!isFit(state, prefix)) return state;
  const known = state.shortcuts.get(prefix);
  if (known && known.expiresAt > turn.now && outranks(known.type, learned.type))
    return known.node === target.node ? meet(state, target, learned.endpoints, turn) : state;
  const holding = toMilliseconds(learned.holdingTime);
  const shortcut: Shortcut = {
    prefix,
    type: learned.type,
    node: target.node,
    destination,
    source: learned.source,
    expiresAt: after(turn.now, holding),
    refreshAt: refreshMoment(holding, turn),
    createdAt: known?.createdAt ?? turn.now,
    usedAt: known?.usedAt ?? turn.now,
  };
  const next = meet(
    { ...state, shortcuts: withEntry(state.shortcuts, prefix, shortcut) },
    target,
    learned.endpoints,
    turn,
  );
  return known && known.node !== target.node ? retireUnused(next, [known.node], turn) : next;
}

/** At two thirds of what remains of the holding time. */
export function refreshMoment(holding: Milliseconds, turn: Turn): Instant {
  return after(turn.now, milliseconds(Math.max(soonestRefreshMs, (holding * 2) / 3)));
}

/**
 * Whether a shortcut for the prefix may be: never wider than the route that it replaces, never over what is our own, a network
 * that this host is in, or an endpoint of a hub (the tunnel would run through itself).
 */
function isFit(state: AgentState, prefix: Prefix): boolean {
  const { config } = state;
  if (!config || !isRouted(state, prefix)) return false;
  for (const own of announcedPrefixes(state.routing)) if (overlaps(own, prefix)) return false;
  const hubs = config.hubs.flatMap((hub) => hub.endpoints.map(endpointAddress));
  const registries = state.routing.registries.map(endpointAddress);
  const uplinks = [...(state.uplinks.sights?.values() ?? [])].flatMap(({ addresses }) => addresses);
  const own = [config.address, config.address6, ...state.localAddresses, ...uplinks];
  const forbidden = [...own, ...hubs, ...registries];
  return !forbidden.some((address) => address !== undefined && containsAddress(prefix, address));
}

/** After a change of the overlay or of the network underneath. */
export function dropUnfit(state: AgentState, turn: Turn): AgentState {
  return dropShortcuts(
    state,
    [...state.shortcuts.keys()].filter((prefix) => !isFit(state, prefix)),
    turn,
  );
}

export function dropShortcuts(state: AgentState, prefixes: readonly Prefix[], turn: Turn): AgentState {
  if (prefixes.length === 0) return state;
  const shortcuts = new Map(state.shortcuts);
  const nodes = new Set<NodeId>();
  for (const prefix of prefixes) {
    const shortcut = shortcuts.get(prefix);
    if (shortcut) nodes.add(shortcut.node);
    shortcuts.delete(prefix);
  }
  return retireUnused({ ...state, shortcuts }, [...nodes], turn);
}

function retireUnused(state: AgentState, nodes: readonly NodeId[], turn: Turn): AgentState {
  let next = state;
  for (const node of nodes) {
    const used = [...next.shortcuts.values()].some((shortcut) => shortcut.node === node);
    if (!used) next = retire(next, node, turn);
  }
  return next;
}
