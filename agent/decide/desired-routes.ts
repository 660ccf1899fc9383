// The routes of the desired host: a part of the projection of desired.ts.
import { type Address, hostPrefix, type Prefix } from '#proto/model/address.ts';
import { linkAddress } from '#proto/model/key.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import type { Target } from '#proto/model/nhrp.ts';
import { hubMetric, type OverlayRoute, shortcutMetric } from './install.ts';
import { carriedBy, isInside } from './learned.ts';
import { type AgentState, type HubPath, multipointName } from './state.ts';

export function spokeRoutes(state: AgentState, config: OverlayConfig): OverlayRoute[] {
  const multipoint = multipointName(state.self);
  const routes: OverlayRoute[] = [
    { prefix: config.linkPrefix, interface: multipoint, source: undefined, metric: hubMetric },
  ];
  for (const path of state.hubs.values()) {
    if (!path.hub.publicKey || path.place === 'none') continue;
    const link = hostPrefix(linkAddress(config.linkPrefix, path.hub.publicKey));
    routes.push({
      prefix: link,
      interface: path.interface,
      source: linkSource(state, config, path.interface),
      metric: hubMetric,
    });
  }
  const active = state.activeHub === undefined ? undefined : state.hubs.get(state.activeHub);
  if (active) {
    const others = routedToOthers(state, active);
    for (const prefix of new Set([...config.summaries, ...(state.learned?.keys() ?? []), ...others.keys()])) {
      const name = others.get(prefix) ?? active.interface;
      routes.push({ prefix, interface: name, source: sourceFor(config, prefix), metric: hubMetric });
    }
  }
  for (const shortcut of state.shortcuts.values()) {
    if (state.remotes.get(shortcut.node)?.phase !== 'direct') continue;
    const { prefix } = shortcut;
    routes.push({ prefix, interface: multipoint, source: sourceFor(config, prefix), metric: shortcutMetric });
  }
  return routes;
}

/** A hub does not reach another one: what belongs to a connected hub goes by its own tunnel. */
function routedToOthers(state: AgentState, active: HubPath): ReadonlyMap<Prefix, string> {
  const routed = new Map<Prefix, string>();
  const connectedHubs = new Map([...state.hubs].filter(([, path]) => path.place === 'connected'));
  for (const path of state.hubs.values()) {
    if (path === active || path.place !== 'connected') continue;
    for (const address of nodeAddresses(path.hub)) routed.set(hostPrefix(address), path.interface);
  }
  for (const [node, prefixes] of carriedBy(state.learned, connectedHubs)) {
    const path = node === active.hub.node ? undefined : state.hubs.get(node);
    if (path) for (const prefix of prefixes) routed.set(prefix, path.interface);
  }
  return routed;
}

/** Out of the one multipoint interface: WireGuard's own table chooses the peer, and goes on when the agent does not. */
export function hubRoutes(state: AgentState, config: OverlayConfig): OverlayRoute[] {
  const multipoint = multipointName(state.self);
  const summaries = new Set(config.summaries);
  const uncovered = [...(state.learned?.keys() ?? [])].filter((prefix) => !isInside(prefix, summaries));
  const routes = [...summaries, ...uncovered].map((prefix) => ({
    prefix,
    interface: multipoint,
    source: sourceFor(config, prefix),
    metric: hubMetric,
  }));
  return [...routes, { prefix: config.linkPrefix, interface: multipoint, source: undefined, metric: hubMetric }];
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
