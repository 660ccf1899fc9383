// What the host should look like for a state: interfaces, peers, routes, firewall, and the BFD sessions. A projection: it
// decides nothing that step has not decided.
import { type Address, hostPrefix } from '#proto/model/address.ts';
import { linkAddress, type PublicKey } from '#proto/model/key.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import {
  type HostState,
  forwarding6,
  gatewayKey,
  interfaceSysctls,
  nothing,
  type RouteState,
  routeKey,
  ruleKey,
  type TunnelState,
} from './host.ts';
import { desiredFirewall } from './desired-firewall.ts';
import { peersOf } from './desired-peers.ts';
import { hubRoutes, spokeRoutes } from './desired-routes.ts';
import { exitHost } from './exit.ts';
import { place } from './install.ts';
import { sharingSysctls } from './load-sharing.ts';
import { markOf, uplinkHost } from './uplink-host.ts';
import { type AgentState, isOpen, type OwnInterface } from './state.ts';
import { transitHost } from './transit.ts';

export function desiredHost(state: AgentState): HostState {
  const { config } = state;
  if (!config || state.revoked !== undefined) {
    return nothing;
  }
  const interfaces = new Map<string, TunnelState>();
  for (const own of state.interfaces.values()) {
    if (own.publicKey === undefined || !isOpen(state, own)) continue;
    interfaces.set(own.name, tunnel(state, config, own, own.publicKey));
  }
  const routes = new Map<string, RouteState>();
  const exit = exitHost(state, config);
  const add = (route: RouteState): void => {
    const open = route.interfaces.filter((name) => interfaces.has(name));
    if (open.length === 0) return;
    const wanted = open.length === route.interfaces.length ? route : { ...route, interfaces: open };
    routes.set(routeKey(wanted), wanted);
  };
  const uplinks = uplinkHost(state, config);
  const transit = transitHost(state, config);
  [...exit.routes, ...uplinks.routes, ...transit.routes].forEach(add);
  for (const wanted of state.self.role === 'hub' ? hubRoutes(state, config) : spokeRoutes(state, config)) {
    if (!state.routing.left.has(wanted.prefix)) add(place(state, config, wanted));
  }
  return {
    interfaces,
    routes,
    gateways: new Map(uplinks.gateways.map((route) => [gatewayKey(route), route])),
    rules: new Map([...uplinks.rules, ...exit.rules, ...transit.rules].map((rule) => [ruleKey(rule), rule])),
    firewall: {
      ...desiredFirewall(state, config, [...interfaces.keys()]),
      killSwitch: exit.killSwitch,
      sources: uplinks.sources,
    },
    sysctls: new Map([
      ...forwarding(state, config),
      ...sharingSysctls(state, config),
      ...uplinks.sysctls,
      ...[...interfaces.keys()].flatMap(interfaceSysctls),
    ]),
  };
}

function tunnel(state: AgentState, config: OverlayConfig, own: OwnInterface, publicKey: PublicKey): TunnelState {
  const peers = peersOf(state, config, own);
  return {
    name: own.name,
    publicKey,
    listenPort: own.listenPort,
    mtu: state.self.mtu ?? config.mtu,
    mark: markOf(state, own),
    up: true,
    addresses: new Set([
      ...ownAddresses(config).map(hostPrefix),
      hostPrefix(linkAddress(config.linkPrefix, publicKey)),
    ]),
    peers: new Map(peers.map((peer) => [peer.publicKey, peer])),
  };
}

function forwarding(state: AgentState, config: OverlayConfig): [string, string][] {
  if (state.self.role !== 'hub' && config.prefixes.length === 0) return [];
  const four: [string, string] = ['net.ipv4.ip_forward', '1'];
  return config.address6 ? [four, [forwarding6, '1']] : [four];
}

function ownAddresses(config: OverlayConfig): Address[] {
  return config.address6 ? [config.address, config.address6] : [config.address];
}
