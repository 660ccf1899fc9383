// Full tunnel: what is for nobody in the overlay leaves it through a chosen node, the exit. As in wg-quick the main table is asked
// first without its default routes, then a table of our own for all that WireGuard did not send itself. Hubs and registries are
// reached by the main table in any case. A hub passes on to the best exit what its spokes send it.
import { containsAddress, type Family, familyOf, hostPrefix, lengthOf, type Prefix } from '#proto/model/address.ts';
import type { Address } from '#proto/model/address.ts';
import { endpointAddress } from '#proto/model/endpoint.ts';
import { mainTable } from '#proto/model/routing.ts';
import type { RouteOrigin } from '#proto/model/route.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import { type KillSwitch, policyNumber, type RouteState, type RuleState, ruleOf } from './host.ts';
import { hubMetric } from './install.ts';
import { announcedPrefixes } from './routing-state.ts';
import { isRoutedTo } from './quality.ts';
import { type AgentState, multipointName } from './state.ts';

/** What a full tunnel asks of the host. */
export interface ExitHost {
  readonly routes: readonly RouteState[];
  readonly rules: readonly RuleState[];
  /** Of WireGuard's own packets; 0: none. */
  readonly mark: number;
  readonly killSwitch: KillSwitch | undefined;
}

/** NHRP cannot say a prefix of length 0: a default route is announced by its halves. */
const defaults: Readonly<Record<Family, { readonly whole: Prefix; readonly halves: readonly [Prefix, Prefix] }>> = {
  4: { whole: '0.0.0.0/0' as Prefix, halves: ['0.0.0.0/1' as Prefix, '128.0.0.0/1' as Prefix] },
  6: { whole: '::/0' as Prefix, halves: ['::/1' as Prefix, '8000::/1' as Prefix] },
};

export function isDefault(prefix: Prefix): boolean {
  return lengthOf(prefix) <= 1;
}

/** Who announces a default route, best first. */
export function exitsOf(learned: AgentState['learned'], family: Family): readonly RouteOrigin[] {
  const originsOf = (prefix: Prefix): readonly RouteOrigin[] => learned?.get(prefix)?.origins ?? [];
  const { whole, halves } = defaults[family];
  const high = new Set(originsOf(halves[1]).map(({ node }) => node));
  return [...originsOf(whole), ...originsOf(halves[0]).filter(({ node }) => high.has(node))];
}

export type ExitWay =
  | { readonly interface: string; readonly direct: boolean }
  /** There is none. */
  | { readonly reason: string };

/** By which tunnel the exit is reached; undefined if none is wanted. */
export function exitWay(state: AgentState, family: Family): ExitWay | undefined {
  const { exit } = state.self;
  if (!exit || state.self.role !== 'spoke') return undefined;
  const exits = exitsOf(state.learned, family);
  const origin = exits.find(({ name }) => name === exit.via);
  if (!origin) return { reason: `${exit.via} announces no IPv${String(family)} default route` };
  const hub = state.hubs.get(origin.node);
  if (hub)
    return hub.place === 'none' ? { reason: `no tunnel to ${exit.via}` } : { interface: hub.interface, direct: true };
  if (isRoutedTo(state, origin.node)) {
    return { interface: multipointName(state.self), direct: true };
  }
  const active = state.activeHub === undefined ? undefined : state.hubs.get(state.activeHub);
  if (!active) return { reason: 'no hub is up' };
  if (exits[0] === origin) return { interface: active.interface, direct: false };
  const why =
    state.config?.phase === 1
      ? 'phase 1 has no direct tunnels'
      : (state.remotes.get(origin.node)?.reason ?? 'it is sought');
  return { reason: `no direct path to ${exit.via} (${why}), and the hubs' exit is ${exits[0]?.name ?? ''}` };
}

export function exitHost(state: AgentState, config: OverlayConfig): ExitHost {
  if (state.self.role === 'hub') return relay(state, config);
  const { exit } = state.self;
  const nothing = { routes: [], rules: [], mark: 0, killSwitch: undefined };
  if (!exit) return nothing;
  const number = policyNumber(state.self.interfacePrefix);
  const families = familiesOf(config);
  const routes = families.flatMap((family): RouteState[] => {
    const way = exitWay(state, family);
    return way && 'interface' in way ? [defaultRoute(config, family, way.interface, number)] : [];
  });
  const networks = [...announcedPrefixes(state.routing)];
  return {
    routes,
    rules: families.flatMap((family) => exitRules(state, config, family, number)),
    mark: number,
    // Closed before it is known where the registries are, it would keep the names from being asked for.
    killSwitch:
      exit.killSwitch && state.routing.registries.length > 0
        ? { mark: number, registries: state.routing.registries, direct: [...new Set([...exit.direct, ...networks])] }
        : undefined,
  };
}

function exitRules(state: AgentState, config: OverlayConfig, family: Family, number: number): RuleState[] {
  const { exit } = state.self;
  const outside: Prefix[] = [...underlay(state, config).map(hostPrefix), ...(exit?.direct ?? [])];
  return [
    ...[...new Set(outside)]
      .filter((prefix) => familyOf(prefix) === family)
      .map((to) => ruleOf({ family, priority: number + 5, to, table: mainTable })),
    ruleOf({ family, priority: number + 6, table: mainTable, noDefault: true }),
    ruleOf({ family, priority: number + 7, without: number, table: number }),
  ];
}

/** What must never go into a tunnel: the answers to WireGuard's packets are looked up without their mark. */
function underlay(state: AgentState, config: OverlayConfig): Address[] {
  return [...config.hubs.flatMap((hub) => hub.endpoints), ...state.routing.registries].map(endpointAddress);
}

/** What came from a spoke and is for nobody in the overlay goes to the best exit, unless this hub is one. */
function relay(state: AgentState, config: OverlayConfig): ExitHost {
  const number = policyNumber(state.self.interfacePrefix);
  const from = multipointName(state.self);
  const families = familiesOf(config).filter(
    (family) => exitsOf(state.learned, family).length > 0 && !isExit(state, family),
  );
  return {
    routes: families.map((family) => defaultRoute(config, family, from, number)),
    rules: families.flatMap((family) => [
      ruleOf({ family, priority: number + 3, from, table: mainTable, noDefault: true }),
      ruleOf({ family, priority: number + 4, from, table: number }),
    ]),
    mark: 0,
    killSwitch: undefined,
  };
}

/** Whether this node announces a default route. */
export function isExit({ routing }: Pick<AgentState, 'routing'>, family: Family): boolean {
  return defaults[family].halves.every((half) => routing.announcements.has(half));
}

/** Whether the address is for an exit: nobody in the overlay has announced it more closely. */
export function isOutside({ config, learned }: Pick<AgentState, 'config' | 'learned'>, address: Address): boolean {
  if (config?.summaries.some((summary) => containsAddress(summary, address))) return false;
  return ![...(learned?.keys() ?? [])].some((prefix) => !isDefault(prefix) && containsAddress(prefix, address));
}

function defaultRoute(config: OverlayConfig, family: Family, name: string, table: number): RouteState {
  const source = family === 4 ? config.address : config.address6;
  return { prefix: defaults[family].whole, interfaces: [name], source, metric: hubMetric, table };
}

function familiesOf(config: OverlayConfig): Family[] {
  return config.address6 ? [4, 6] : [4];
}
