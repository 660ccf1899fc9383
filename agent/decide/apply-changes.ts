// The meaning of every change, as a function of values: the core folds what was done into its picture by it, tests prove
// the diff by it. The kernel's side effects are part of it: an interface takes its routes with it, and an allowed prefix
// that one peer gets is taken from the peer that had it.
import type { Prefix } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { Change } from './change.ts';
import { type HostState, type PeerState, type RouteState, routeKey, routeSlot, type TunnelState } from './host.ts';

export function applyChanges(state: HostState, changes: readonly Change[]): HostState {
  return changes.reduce(applyChange, state);
}

export function applyChange(state: HostState, change: Change): HostState {
  switch (change.kind) {
    case 'set-sysctl':
      return { ...state, sysctls: new Map(state.sysctls).set(change.name, change.to) };
    case 'create-interface': {
      const tunnel = { ...change.tunnel, peers: new Map<PublicKey, PeerState>() };
      return { ...state, interfaces: new Map(state.interfaces).set(tunnel.name, tunnel) };
    }
    case 'delete-interface':
      return deleteInterface(state, change.name);
    case 'configure-interface': {
      const { publicKey, listenPort, mtu, up } = change.to;
      return withTunnel(state, change.name, (tunnel) => ({
        ...tunnel,
        publicKey,
        listenPort: listenPort === 0 ? tunnel.listenPort : listenPort,
        mtu,
        up,
      }));
    }
    case 'add-address':
      return withTunnel(state, change.interface, (tunnel) => ({
        ...tunnel,
        addresses: new Set(tunnel.addresses).add(change.address),
      }));
    case 'remove-address':
      return withTunnel(state, change.interface, (tunnel) => ({
        ...tunnel,
        addresses: new Set([...tunnel.addresses].filter((address) => address !== change.address)),
      }));
    case 'add-peer':
    case 'replace-peer':
      return withPeer(state, change.interface, change.peer);
    case 'update-peer':
      return withPeer(state, change.interface, { ...change.to, endpoint: change.from.endpoint });
    case 'remove-peer':
      return withTunnel(state, change.interface, (tunnel) => ({
        ...tunnel,
        peers: without(tunnel.peers, change.publicKey),
      }));
    case 'add-route':
      return withRoute(state, change.route);
    case 'replace-route':
      return withRoute({ ...state, routes: without(state.routes, routeKey(change.from)) }, change.to);
    case 'remove-route':
      return { ...state, routes: without(state.routes, routeKey(change.route)) };
    case 'set-firewall':
      return { ...state, firewall: change.to };
    case 'remove-firewall':
      return { ...state, firewall: undefined };
  }
}

function withTunnel(state: HostState, name: string, change: (tunnel: TunnelState) => TunnelState): HostState {
  const tunnel = state.interfaces.get(name);
  return tunnel ? { ...state, interfaces: new Map(state.interfaces).set(name, change(tunnel)) } : state;
}

function withPeer(state: HostState, name: string, peer: PeerState): HostState {
  return withTunnel(state, name, (tunnel) => {
    const peers = new Map<PublicKey, PeerState>();
    for (const [key, other] of tunnel.peers) peers.set(key, takeFrom(other, peer.allowedIps));
    return { ...tunnel, peers: peers.set(peer.publicKey, peer) };
  });
}

function takeFrom(peer: PeerState, taken: ReadonlySet<Prefix>): PeerState {
  if (![...taken].some((prefix) => peer.allowedIps.has(prefix))) return peer;
  return { ...peer, allowedIps: new Set([...peer.allowedIps].filter((prefix) => !taken.has(prefix))) };
}

function withRoute(state: HostState, route: RouteState): HostState {
  const routes = new Map([...state.routes].filter(([, other]) => routeSlot(other) !== routeSlot(route)));
  return { ...state, routes: routes.set(routeKey(route), route) };
}

function deleteInterface(state: HostState, name: string): HostState {
  const routes = new Map([...state.routes].filter(([, route]) => route.interface !== name));
  return { ...state, interfaces: without(state.interfaces, name), routes };
}

function without<K, V>(map: ReadonlyMap<K, V>, key: K): Map<K, V> {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
