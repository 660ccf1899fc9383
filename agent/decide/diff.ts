// What has to be done to a host. `observed` holds only what is ours (agent/observe sees to that), so nothing foreign can
// be named by a change.
import type { Change } from './change.ts';
import { formatFirewallState } from './firewall-state.ts';
import {
  type FirewallState,
  type GatewayRoute,
  type HostState,
  isInterfaceSysctl,
  type PeerState,
  type RouteState,
  routeSlot,
  type RuleState,
  type TunnelState,
} from './host.ts';
import { plan } from './plan.ts';

/** The changes that make `desired` of `observed`, in the order of doing. Empty if nothing is to be done. */
export function diff(observed: HostState, desired: HostState): Change[] {
  return plan([
    ...sysctlChanges(observed.sysctls, desired.sysctls),
    ...interfaceChanges(observed, desired),
    ...routeChanges(observed, desired),
    ...gatewayChanges(observed.gateways, desired.gateways),
    ...ruleChanges(observed.rules, desired.rules),
    ...firewallChanges(observed.firewall, desired.firewall),
  ]);
}

function* sysctlChanges(
  observed: ReadonlyMap<string, string>,
  desired: ReadonlyMap<string, string>,
): Generator<Change> {
  for (const [name, to] of desired) {
    const from = observed.get(name);
    // One that is being made gets its settings with everything else, and a kernel without IPv6 has none of that.
    if (from === undefined && isInterfaceSysctl(name)) continue;
    if (from !== to) yield { kind: 'set-sysctl', name, from, to };
  }
}

function* interfaceChanges(observed: HostState, desired: HostState): Generator<Change> {
  for (const tunnel of desired.interfaces.values()) {
    const from = observed.interfaces.get(tunnel.name);
    if (from) yield* tunnelChanges(from, tunnel);
    else {
      yield { kind: 'create-interface', tunnel };
      for (const peer of tunnel.peers.values()) yield { kind: 'add-peer', interface: tunnel.name, peer };
    }
  }
  for (const name of observed.interfaces.keys()) {
    if (!desired.interfaces.has(name)) yield { kind: 'delete-interface', name };
  }
}

function* tunnelChanges(from: TunnelState, to: TunnelState): Generator<Change> {
  const name = to.name;
  if (!sameSettings(from, to)) yield { kind: 'configure-interface', name, from, to };
  for (const address of to.addresses) {
    if (!from.addresses.has(address)) yield { kind: 'add-address', interface: name, address };
  }
  for (const address of from.addresses) {
    if (!to.addresses.has(address)) yield { kind: 'remove-address', interface: name, address };
  }
  for (const peer of to.peers.values()) {
    const old = from.peers.get(peer.publicKey);
    if (!old) yield { kind: 'add-peer', interface: name, peer };
    else if (!samePeer(old, peer)) yield { kind: 'update-peer', interface: name, from: old, to: peer };
  }
  for (const publicKey of from.peers.keys()) {
    if (!to.peers.has(publicKey)) yield { kind: 'remove-peer', interface: name, publicKey };
  }
}

/**
 * A route that moves to another interface or source is replaced in its slot: no packet falls between. The routes of an
 * interface that goes, go with it.
 */
function* routeChanges(observed: HostState, desired: HostState): Generator<Change> {
  const old = new Map<string, RouteState>();
  for (const [key, route] of observed.routes) if (!desired.routes.has(key)) old.set(routeSlot(route), route);
  for (const [key, route] of desired.routes) {
    const same = observed.routes.get(key);
    const from = same ?? old.get(routeSlot(route));
    if (!from) yield { kind: 'add-route', route };
    else if (!same || same.source !== route.source) yield { kind: 'replace-route', from, to: route };
    if (!same) old.delete(routeSlot(route));
  }
  for (const route of old.values()) {
    if (route.interfaces.some((name) => desired.interfaces.has(name))) yield { kind: 'remove-route', route };
  }
}

function* gatewayChanges(
  observed: ReadonlyMap<string, GatewayRoute>,
  desired: ReadonlyMap<string, GatewayRoute>,
): Generator<Change> {
  for (const [key, to] of desired) {
    const from = observed.get(key);
    if (!from || !sameGateway(from, to)) yield { kind: 'set-gateway', from, to };
  }
  for (const [key, gateway] of observed) if (!desired.has(key)) yield { kind: 'remove-gateway', gateway };
}

function sameGateway(a: GatewayRoute, b: GatewayRoute): boolean {
  // The kernel makes its own choice of a source where none is named, for IPv6 also in what it shows.
  return a.interface === b.interface && a.via === b.via && (a.source === b.source || b.source === undefined);
}

function* ruleChanges(
  observed: ReadonlyMap<string, RuleState>,
  desired: ReadonlyMap<string, RuleState>,
): Generator<Change> {
  for (const [key, rule] of desired) if (!observed.has(key)) yield { kind: 'add-rule', rule };
  for (const [key, rule] of observed) if (!desired.has(key)) yield { kind: 'remove-rule', rule };
}

function* firewallChanges(from: FirewallState | undefined, to: FirewallState | undefined): Generator<Change> {
  if (!to) {
    if (from) yield { kind: 'remove-firewall' };
  } else if (!from || formatFirewallState(from) !== formatFirewallState(to)) {
    yield { kind: 'set-firewall', from, to };
  }
}

function sameSettings(from: TunnelState, to: TunnelState): boolean {
  return (
    from.publicKey === to.publicKey &&
    (to.listenPort === 0 || from.listenPort === to.listenPort) &&
    from.mtu === to.mtu &&
    from.mark === to.mark &&
    from.up === to.up
  );
}

function samePeer(from: PeerState, to: PeerState): boolean {
  return from === to || (from.keepalive === to.keepalive && sameSet(from.allowedIps, to.allowedIps));
}

function sameSet<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && [...a].every((value) => b.has(value));
}
