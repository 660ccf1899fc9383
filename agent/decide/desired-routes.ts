// The routes of the desired host: a part of the projection of desired.ts.
import { type Address, hostPrefix, type Prefix } from '#proto/model/address.ts';
import { linkAddress } from '#proto/model/key.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import type { Target } from '#proto/model/nhrp.ts';
import { hubMetric, type OverlayRoute, shortcutMetric } from './install.ts';
import { carriedBy, isInside } from './learned.ts';
import { carryingHubs } from './load-sharing.ts';
import { isRoutedTo } from './quality.ts';
import { type AgentState, type HubPath, multipointName } from './state.ts';
import { transitPrefixes } from './transit.ts';

export function spokeRoutes(state: AgentState, config: OverlayConfig): OverlayRoute[] {
  const multipoint = multipointName(state.self);
  const routes: OverlayRoute[] = [
    { prefix: config.linkPrefix, interfaces: [multipoint], source: undefined, metric: hubMetric },
    ...linkRoutes(state, config),
  ];
  const carrying = state.routing.cutOff ? [] : carryingHubs(state);
  if (carrying.length > 0) {
    const all = carrying.map((path) => path.interface).sort();
    const bound = boundToHubs(state, carrying);
    for (const prefix of new Set([...config.summaries, ...(state.learned?.keys() ?? []), ...bound.keys()])) {
      routes.push({
        prefix,
        interfaces: bound.get(prefix) ?? all,
        source: sourceFor(config, prefix),
        metric: hubMetric,
      });
    }
  }
  for (const shortcut of state.shortcuts.values()) {
    if (!isRoutedTo(state, shortcut.node)) continue;
    const { prefix } = shortcut;
    routes.push({ prefix, interfaces: [multipoint], source: sourceFor(config, prefix), metric: shortcutMetric });
  }
  return routes;
}

/** What belongs to a connected hub goes by its own tunnel, unless all goes there. */
function boundToHubs(state: AgentState, carrying: readonly HubPath[]): ReadonlyMap<Prefix, readonly string[]> {
  const bound = new Map<Prefix, readonly string[]>();
  const only = carrying.length === 1 ? carrying[0] : undefined;
  const connectedHubs = new Map([...state.hubs].filter(([, path]) => path.place === 'connected'));
  for (const path of state.hubs.values()) {
    if (path === only || path.place !== 'connected') continue;
    for (const address of nodeAddresses(path.hub)) bound.set(hostPrefix(address), [path.interface]);
  }
  for (const [node, prefixes] of carriedBy(state.learned, connectedHubs)) {
    const path = node === only?.hub.node ? undefined : state.hubs.get(node);
    if (path) for (const prefix of prefixes) bound.set(prefix, [path.interface]);
  }
  return bound;
}

/**
 * Out of the one multipoint interface: WireGuard's own table chooses the peer, and goes on when the agent does not. But what only
 * another hub reaches, and what is its own, goes to that hub.
 */
export function hubRoutes(state: AgentState, config: OverlayConfig): OverlayRoute[] {
  const multipoint = multipointName(state.self);
  const summaries = new Set(config.summaries);
  const uncovered = [...(state.learned?.keys() ?? [])].filter((prefix) => !isInside(prefix, summaries));
  const names = new Map([...summaries, ...uncovered].map((prefix) => [prefix, multipoint]));
  for (const [prefix, name] of [...routedToHubs(state), ...transitPrefixes(state)]) names.set(prefix, name);
  const routes = [...names].map(([prefix, name]) => ({
    prefix,
    interfaces: [name],
    source: sourceFor(config, prefix),
    metric: hubMetric,
  }));
  const link = { prefix: config.linkPrefix, interfaces: [multipoint], source: undefined, metric: hubMetric };
  return [...routes, link, ...linkRoutes(state, config)];
}

/** What is another hub's own. */
function routedToHubs(state: AgentState): ReadonlyMap<Prefix, string> {
  const routed = new Map<Prefix, string>();
  const open = new Map([...state.hubs].filter(([, path]) => path.place !== 'none'));
  for (const path of open.values()) {
    for (const address of nodeAddresses(path.hub)) routed.set(hostPrefix(address), path.interface);
  }
  for (const [node, prefixes] of carriedBy(state.learned, open)) {
    const path = open.get(node);
    if (path) for (const prefix of prefixes) routed.set(prefix, path.interface);
  }
  return routed;
}

/** Each hub's link address, by the tunnel to it. */
function linkRoutes(state: AgentState, config: OverlayConfig): OverlayRoute[] {
  return [...state.hubs.values()].flatMap((path) => {
    if (!path.hub.publicKey || path.place === 'none') return [];
    const prefix = hostPrefix(linkAddress(config.linkPrefix, path.hub.publicKey));
    const source = linkSource(state, config, path.interface);
    return [{ prefix, interfaces: [path.interface], source, metric: hubMetric }];
  });
}

export function nodeAddresses(node: Pick<Target, 'address' | 'address6'>): Address[] {
  return node.address6 ? [node.address, node.address6] : [node.address];
}

function sourceFor(config: OverlayConfig, prefix: Prefix): Address | undefined {
  return prefix.includes(':') ? config.address6 : config.address;
}

function linkSource(state: AgentState, config: OverlayConfig, name: string): Address | undefined {
  const key = state.interfaces.get(name)?.publicKey;
  return key && linkAddress(config.linkPrefix, key);
}
