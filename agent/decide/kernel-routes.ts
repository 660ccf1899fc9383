// Routes of the kernel that are not ours, as values, and which of them there is a reason to look at.
import type { Prefix } from '#proto/model/address.ts';
import { kernelProtocol, mainTable, type RoutingConfig } from '#proto/model/routing.ts';

export interface KernelRoute {
  readonly prefix: Prefix;
  /** The kernel's number of who made it. */
  readonly protocol: number;
  readonly table: number;
  /** By which it leaves and that have a carrier; more than one if it is multipath. */
  readonly interfaces: readonly string[];
  readonly metric: number;
}

/** What one `ip route show` is asked for. */
export interface RouteSelector {
  readonly table: number;
  /** Absent: any. */
  readonly protocol: number | undefined;
}

/** The kernel leaves out what does not match: a table with the whole internet in it is not read for a few routes. */
export function routeSelectors({ import: rules }: RoutingConfig): RouteSelector[] {
  // Connected networks are looked at in any case: no route of the overlay may take their place.
  const wanted: RouteSelector[] = [{ table: mainTable, protocol: kernelProtocol }, ...rules];
  const everything = new Set(wanted.filter(({ protocol }) => protocol === undefined).map(({ table }) => table));
  const found = new Map<string, RouteSelector>();
  for (const { table, protocol } of wanted) {
    const selector = everything.has(table) ? { table, protocol: undefined } : { table, protocol };
    found.set(`${String(table)} ${String(selector.protocol)}`, selector);
  }
  return [...found.values()];
}

/** The networks that the host is in, with their interface. */
export function connectedNetworks(routes: readonly KernelRoute[]): Map<Prefix, string> {
  const networks = new Map<Prefix, string>();
  for (const { protocol, table, prefix, interfaces } of routes) {
    if (protocol === kernelProtocol && table === mainTable) networks.set(prefix, interfaces.join(', '));
  }
  return networks;
}
