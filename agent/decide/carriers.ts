// A hub's choice among spokes that announce one prefix: WireGuard gives it to one peer of an interface. By preference among those
// whose tunnel to this hub is Up, else among those that another hub reaches; who has it keeps it until it goes Down, or a better one has been Up for a while.
import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { LearnedRoute, RouteOrigin } from '#proto/model/route.ts';
import { select } from '#proto/model/selection.ts';
import { after, type Instant, milliseconds } from '#proto/model/time.ts';
import { note, type Turn } from './event.ts';
import type { HubState } from './hub-state.ts';
import type { AgentState, BfdState } from './state.ts';

/** For so long a better spoke must be Up before it takes a prefix back. */
const returnMs = milliseconds(2000);
const standings = { up: 3, beyond: 2, down: 1 } as const;

/** BFD over a spoke's tunnel to this hub. */
export function spokeBfd(state: AgentState, node: NodeId, bfd: BfdState, turn: Turn): AgentState {
  const { up } = state.hub;
  if ((bfd === 'up') === up.has(node)) return state;
  const next = new Map(up);
  if (bfd === 'up') next.set(node, turn.now);
  else next.delete(node);
  return { ...state, hub: { ...state.hub, up: next } };
}

/** Made anew only when the routes change. */
const knownShared = new WeakMap<ReadonlyMap<Prefix, LearnedRoute>, readonly LearnedRoute[]>();

function sharedOf(learned: ReadonlyMap<Prefix, LearnedRoute>): readonly LearnedRoute[] {
  const known = knownShared.get(learned);
  if (known) return known;
  const shared = [...learned.values()].filter(({ origins }) => origins.length > 1);
  knownShared.set(learned, shared);
  return shared;
}

/** Who carries each prefix that several spokes announce. */
export function chooseCarriers(state: AgentState, turn: Turn): AgentState {
  const { hub, learned } = state;
  if (state.self.role !== 'hub' || !learned || !hub.peers) return state;
  const madeOf = [learned, hub.peers, hub.up, hub.beyond];
  const due = hub.chooseAt !== undefined && hub.chooseAt <= turn.now;
  if (!due && madeOf.every((input, index) => input === hub.chosenOf[index])) return state;
  const carriers = new Map<Prefix, NodeId>();
  let chooseAt: Instant | undefined;
  for (const { prefix, origins } of sharedOf(learned)) {
    const here = origins.filter(({ node }) => hub.peers?.has(node));
    const choice = choose(hub, here, hub.carriers.get(prefix), turn.now);
    if (!choice) continue;
    carriers.set(prefix, choice.node);
    if (choice.again !== undefined) chooseAt = Math.min(choice.again, chooseAt ?? Infinity) as Instant;
    const before = hub.carriers.get(prefix);
    const name = here.find(({ node }) => node === choice.node)?.name;
    if (before !== choice.node) note(turn, 'carrier', { prefix, node: name, of: here.length });
  }
  const same =
    carriers.size === hub.carriers.size && [...carriers].every(([key, node]) => hub.carriers.get(key) === node);
  return { ...state, hub: { ...hub, carriers: same ? hub.carriers : carriers, chooseAt, chosenOf: madeOf } };
}

interface Choice {
  readonly node: NodeId;
  /** When to look again though nothing happens. */
  readonly again: Instant | undefined;
}

function choose(
  { up, beyond }: HubState,
  origins: readonly RouteOrigin[],
  holder: NodeId | undefined,
  now: Instant,
): Choice | undefined {
  const contenders = origins.map(({ node, preference }) => {
    const standing = up.has(node) ? standings.up : beyond.has(node) ? standings.beyond : standings.down;
    return { node, preference, standing };
  });
  const { best } = select(contenders);
  const first = best[0];
  if (!first) return undefined;
  const held = contenders.find(({ node }) => node === holder);
  const keep = { node: held?.node ?? first.node, again: undefined };
  if (!held || best.includes(held)) return keep;
  // Of those that are not Up nobody is known to be better: an agent that has just started has heard of none yet.
  if (held.standing < first.standing) return { node: first.node, again: undefined };
  if (first.standing !== standings.up) return keep;
  const since = Math.min(...best.map(({ node }) => up.get(node) ?? now)) as Instant;
  const ready = after(since, returnMs);
  return ready <= now ? { node: first.node, again: undefined } : { ...keep, again: ready };
}
