// Keeps what the agent announces in step with the kernel's routes, agent.yaml and the overlay.
import type { Prefix } from '#proto/model/address.ts';
import { type Announced, announce, tooMany } from './announce.ts';
import { note, type Turn, warn } from './event.ts';
import { connectedNetworks, type KernelRoute } from './kernel-routes.ts';
import { obstacle } from './install.ts';
import type { AgentState } from './state.ts';

/** A look at the kernel's routes. */
export function sawRoutes(state: AgentState, routes: readonly KernelRoute[]): AgentState {
  const connected = connectedNetworks(routes);
  const same = textOf(connected) === textOf(state.routing.connected);
  return { ...state, routing: { ...state.routing, routes, connected: same ? state.routing.connected : connected } };
}

function textOf(networks: ReadonlyMap<Prefix, string>): string {
  return [...networks].sort().join();
}

/** Decides anew what is announced, if there is something new to decide about or the time has come. */
export function tickAnnounced(state: AgentState, turn: Turn): AgentState {
  const { self, routing, config, learned } = state;
  const madeOf = [self, routing.routes, config, learned, routing.registries];
  const due = routing.nextAt !== undefined && routing.nextAt <= turn.now;
  if (!due && madeOf.every((input, index) => input === routing.madeOf[index])) return state;
  // Until the kernel was looked at, what the registry has of the last run stays. And what came out of the overlay can be told only
  // once it is known what there is.
  if ((routing.routes === undefined || learned === undefined) && imports(state)) return state;
  const { prefixes, routing: rules } = self;
  const originOf = (prefix: Prefix): string | undefined => learnedFrom(state, prefix);
  const next = announce({ prefixes, routing: rules, routes: routing.routes ?? [], originOf }, routing, turn);
  report(routing, next, turn);
  const announcements = sameEntries(routing.announcements, next.announcements)
    ? routing.announcements
    : next.announcements;
  return leaveOut({ ...state, routing: { ...routing, ...next, announcements, madeOf } }, turn);
}

/** Finds the prefixes of the overlay that must have no route here; of those known before, only if something else changed. */
function leaveOut(state: AgentState, turn: Turn): AgentState {
  const { config, routing } = state;
  const of = [config, routing.connected, routing.announcements, routing.registries];
  const known = of.every((input, index) => input === routing.judged.of[index]) ? routing.judged.obstacles : undefined;
  const obstacles = new Map<Prefix, string | undefined>();
  const left = new Map<Prefix, string>();
  for (const prefix of [...(config?.summaries ?? []), ...(state.learned?.keys() ?? [])]) {
    const reason = known?.has(prefix) === true ? known.get(prefix) : obstacle(state, prefix);
    obstacles.set(prefix, reason);
    if (reason === undefined) continue;
    left.set(prefix, reason);
    if (routing.left.get(prefix) !== reason) warn(turn, 'route left out', { prefix, reason });
  }
  const same = left.size === routing.left.size && [...left].every(([prefix, why]) => routing.left.get(prefix) === why);
  return { ...state, routing: { ...routing, left: same ? routing.left : left, judged: { of, obstacles } } };
}

/** Whether what is announced depends on the kernel's routes. */
function imports({ self }: AgentState): boolean {
  return self.routing.connected.length > 0 || self.routing.import.length > 0;
}

/** Whom the overlay has a prefix from, besides this node and others of its site; undefined if it has none. */
function learnedFrom({ learned, config, self }: AgentState, prefix: Prefix): string | undefined {
  const foreign = learned?.get(prefix)?.origins.find(({ name }) => !self.routing.site.includes(name));
  return foreign?.name ?? (config?.summaries.includes(prefix) === true ? 'the overlay' : undefined);
}

function sameEntries(a: Announced['announcements'], b: Announced['announcements']): boolean {
  return a.size === b.size && [...b].every(([prefix, { preference }]) => a.get(prefix)?.preference === preference);
}

const mostNamed = 10;

function report(before: Announced, next: Announced, turn: Turn): void {
  const gone = missing(before.announcements, next.announcements);
  const come = missing(next.announcements, before.announcements);
  if (come.length > 0) note(turn, 'announcing', { count: come.length, prefixes: come.slice(0, mostNamed) });
  if (gone.length > 0) note(turn, 'no longer announcing', { count: gone.length, prefixes: gone.slice(0, mostNamed) });
  const [excess, former] = [countTooMany(next), countTooMany(before)];
  if (excess > 0 && former === 0) warn(turn, 'too many prefixes to announce', { left: excess });
  for (const [prefix, reason] of next.withheld) {
    if (reason === tooMany || before.withheld.get(prefix) === reason) continue;
    note(turn, 'not announcing', { prefix, reason });
  }
}

/** How many are over the limit. */
function countTooMany({ withheld }: Pick<Announced, 'withheld'>): number {
  let count = 0;
  for (const reason of withheld.values()) if (reason === tooMany) count += 1;
  return count;
}

function missing(from: ReadonlyMap<Prefix, unknown>, other: ReadonlyMap<Prefix, unknown>): Prefix[] {
  return [...from.keys()].filter((prefix) => !other.has(prefix));
}
