// Where the overlay's routes are put in the kernel, and which are not: nothing takes the place of a network that the host is in,
// of what this node announces itself, or of the way to a hub.
import { type Address, containsAddress, containsPrefix, lengthOf, type Prefix } from '#proto/model/address.ts';
import { endpointAddress } from '#proto/model/endpoint.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import { mainTable } from '#proto/model/routing.ts';
import type { RouteState } from './host.ts';
import type { AgentState } from './state.ts';

/** A route of the overlay before it has its place in the kernel. */
export type OverlayRoute = Omit<RouteState, 'table'>;

/** A shortcut is preferred to a hub's route of the same prefix. */
export const shortcutMetric = 50;
export const hubMetric = 100;

/** Link addresses are the agent's own affair: the main table, whatever is configured. */
export function place({ self }: Pick<AgentState, 'self'>, config: OverlayConfig, route: OverlayRoute): RouteState {
  if (containsPrefix(config.linkPrefix, route.prefix)) return { ...route, table: mainTable };
  const { table, metric, distance } = self.routing;
  return { ...route, table, metric: distance * 0x100_0000 + metric + route.metric - shortcutMetric };
}

/** Why a prefix of the overlay has no route here; undefined if it has. */
export function obstacle(state: AgentState, prefix: Prefix): string | undefined {
  const { routing, config } = state;
  if (routing.announcements.has(prefix)) return 'this node announces it';
  if (lengthOf(prefix) <= 1) return 'a default route is taken only through an exit';
  const learned = config?.summaries.includes(prefix) !== true;
  for (const [network, name] of routing.connected) {
    if (prefix === network) return `the host is in this network (${name})`;
    if (learned && containsPrefix(network, prefix)) return `it is inside ${network}, a network of the host (${name})`;
  }
  return cutTunnel(state, prefix);
}

/** A tunnel whose packets went into a tunnel would be none; a more specific network of the host keeps them out. */
function cutTunnel({ config, routing }: AgentState, prefix: Prefix): string | undefined {
  const covers = (address: Address): boolean =>
    containsAddress(prefix, address) &&
    ![...routing.connected.keys()].some(
      (network) => containsAddress(network, address) && containsPrefix(prefix, network),
    );
  for (const hub of config?.hubs ?? []) {
    const address = hub.endpoints.map(endpointAddress).find(covers);
    if (address) return `the endpoint ${address} of ${hub.name} is in it: its tunnel would run through itself`;
  }
  const registry = routing.registries.map(endpointAddress).find(covers);
  return registry && `the registry ${registry} is in it: it would be sought in the overlay`;
}
