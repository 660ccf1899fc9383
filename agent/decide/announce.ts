// What a node announces: its static prefixes, and the routes of its kernel that its rules pick, as far as they did not come out
// of the overlay themselves, do not flap, and are not too many. What is left out has a reason, for `dmwg status`.
import { comparePrefixes, lengthOf, type Prefix } from '#proto/model/address.ts';
import { type Flap, reuseAt, settled, suppressAt, withdrawn } from '#proto/model/damping.ts';
import { matchesPrefixList } from '#proto/model/prefix-list.ts';
import {
  formatRouteProtocol,
  type ImportRule,
  kernelProtocol,
  mainTable,
  type RoutingConfig,
} from '#proto/model/routing.ts';
import type { Instant } from '#proto/model/time.ts';
import type { KernelRoute } from './kernel-routes.ts';

export interface Announcement {
  readonly prefix: Prefix;
  /** NHRP's: 255 best, 0 unspecified. */
  readonly preference: number;
  /** "static", or where the kernel has it from: "ospf eth1". */
  readonly origin: string;
}

export interface Announced {
  readonly announcements: ReadonlyMap<Prefix, Announcement>;
  /** What a rule picked and is not announced, with the reason. */
  readonly withheld: ReadonlyMap<Prefix, string>;
  readonly flaps: ReadonlyMap<Prefix, Flap>;
  /** When a prefix that was damped may be announced again. */
  readonly nextAt: Instant | undefined;
}

export const nothingAnnounced: Announced = {
  announcements: new Map(),
  withheld: new Map(),
  flaps: new Map(),
  nextAt: undefined,
};

export interface Moment {
  readonly now: Instant;
  /** [0, 1). */
  readonly random: () => number;
}

export interface AnnounceInputs {
  /** From agent.yaml. */
  readonly prefixes: readonly Prefix[];
  readonly routing: RoutingConfig;
  readonly routes: readonly KernelRoute[];
  /** Where the overlay has a prefix from, unless it is this node or another one of its site. */
  readonly originOf: (prefix: Prefix) => string | undefined;
}

export function announce(inputs: AnnounceInputs, before: Announced, { now, random }: Moment): Announced {
  const fixed = fixedAnnouncements(inputs);
  const withheld = new Map<Prefix, string>();
  const picked = pick(inputs, fixed, withheld);
  const flaps = new Map<Prefix, Flap>();
  const withdrawal = { now, random, suppress: suppressAt.node };
  for (const [prefix, flap] of before.flaps) {
    if (settled(flap, now)) continue;
    const went = before.withheld.get(prefix) === flapping && !picked.has(prefix);
    flaps.set(prefix, went ? withdrawn(flap, withdrawal) : flap);
  }
  for (const { prefix, origin } of before.announcements.values()) {
    // What was announced for good is withdrawn for good.
    if (origin === fixedOrigin || picked.has(prefix) || fixed.has(prefix)) continue;
    flaps.set(prefix, withdrawn(flaps.get(prefix), withdrawal));
  }
  let nextAt: Instant | undefined;
  for (const [prefix, flap] of flaps) {
    const again = reuseAt(flap, now);
    if (again === undefined) continue;
    nextAt = Math.min(again, nextAt ?? Infinity) as Instant;
    if (picked.delete(prefix)) withheld.set(prefix, flapping);
  }
  const announcements = limited([...fixed.values()], [...picked.values()], before, inputs.routing.limit);
  for (const prefix of picked.keys()) if (!announcements.has(prefix)) withheld.set(prefix, tooMany);
  return { announcements, withheld, flaps, nextAt };
}

const fixedOrigin = 'static';
const flapping = 'it flaps: announced again once it has been quiet';
export const tooMany = 'over the limit of what one node announces';

/** The routes that rules pick, one a prefix, without those of which the overlay knows by itself. */
function pick(
  inputs: AnnounceInputs,
  fixed: ReadonlyMap<Prefix, Announcement>,
  withheld: Map<Prefix, string>,
): Map<Prefix, Announcement> {
  const picked = new Map<Prefix, Announcement>();
  for (const candidate of importedRoutes(inputs)) {
    const { prefix } = candidate;
    const known = picked.get(prefix);
    if (fixed.has(prefix) || (known && known.preference >= candidate.preference)) continue;
    const origin = inputs.originOf(prefix);
    if (origin !== undefined) withheld.set(prefix, `learned from ${origin}: it may have come back from the overlay`);
    else if (lengthOf(prefix) === 0) withheld.set(prefix, 'a default route is announced by its halves');
    else picked.set(prefix, candidate);
  }
  return picked;
}

function fixedAnnouncements({ prefixes, routing }: AnnounceInputs): Map<Prefix, Announcement> {
  const fixed = new Map<Prefix, Announcement>();
  for (const prefix of prefixes) fixed.set(prefix, { prefix, preference: 0, origin: fixedOrigin });
  for (const { prefix, preference } of routing.static) fixed.set(prefix, { prefix, preference, origin: fixedOrigin });
  return fixed;
}

function* importedRoutes({ routing, routes }: AnnounceInputs): Generator<Announcement> {
  const rules = [...connectedRules(routing.connected), ...routing.import];
  for (const route of routes) {
    const rule = rules.find((one) => matches(one, route));
    if (!rule) continue;
    const origin = `${formatRouteProtocol(route.protocol)} ${route.interfaces.join(' ')}`;
    yield { prefix: route.prefix, preference: rule.preference, origin };
  }
}

/** The first rule that matches a route decides about it. */
function matches(rule: ImportRule, { prefix, protocol, table, interfaces, metric }: KernelRoute): boolean {
  if (rule.protocol === undefined ? protocol === kernelProtocol : protocol !== rule.protocol) return false;
  if (rule.table !== table) return false;
  if (rule.interfaces.length > 0 && !interfaces.some((name) => rule.interfaces.includes(name))) return false;
  if (rule.prefixes.length > 0 ? !matchesPrefixList(rule.prefixes, prefix) : lengthOf(prefix) === 0) return false;
  if (matchesPrefixList(rule.except, prefix)) return false;
  return rule.metric === undefined || (rule.metric.least <= metric && metric <= rule.metric.most);
}

function connectedRules(interfaces: readonly string[]): ImportRule[] {
  if (interfaces.length === 0) return [];
  const always = { prefixes: [], except: [], metric: undefined, preference: 0 };
  return [{ ...always, protocol: kernelProtocol, table: mainTable, interfaces }];
}

/** Static ones first, then those that are announced already, so that one too many harms no other; then by number. */
function limited(
  fixed: readonly Announcement[],
  picked: readonly Announcement[],
  { announcements: known }: Announced,
  limit: number,
): Map<Prefix, Announcement> {
  const all =
    fixed.length + picked.length <= limit
      ? [...fixed, ...picked]
      : [
          ...fixed,
          ...[...picked].sort(
            (a, b) => Number(known.has(b.prefix)) - Number(known.has(a.prefix)) || comparePrefixes(a.prefix, b.prefix),
          ),
        ].slice(0, limit);
  return new Map(all.sort((a, b) => comparePrefixes(a.prefix, b.prefix)).map((one) => [one.prefix, one]));
}
