// A change is data: what the executor does, what the log says, what --dry-run prints and what tests compare.
import type { Prefix } from '#proto/model/address.ts';
import type { FirewallState, GatewayRoute, PeerState, RouteState, RuleState, TunnelState } from './host.ts';
import type { PublicKey } from '#proto/model/key.ts';

export type Change =
  | { readonly kind: 'set-sysctl'; readonly name: string; readonly from: string | undefined; readonly to: string }
  /** Makes the interface with key, port, MTU and addresses, without peers, and brings it up. */
  | { readonly kind: 'create-interface'; readonly tunnel: TunnelState }
  | { readonly kind: 'delete-interface'; readonly name: string }
  | {
      readonly kind: 'configure-interface';
      readonly name: string;
      readonly from: TunnelState;
      readonly to: TunnelState;
    }
  | { readonly kind: 'add-address'; readonly interface: string; readonly address: Prefix }
  | { readonly kind: 'remove-address'; readonly interface: string; readonly address: Prefix }
  | { readonly kind: 'add-peer'; readonly interface: string; readonly peer: PeerState }
  /** Allowed prefixes or keepalive differ; the WireGuard session goes on. */
  | { readonly kind: 'update-peer'; readonly interface: string; readonly from: PeerState; readonly to: PeerState }
  /** Removed and added in one step: forgets its session, so that the next packet starts a handshake at once. */
  | { readonly kind: 'replace-peer'; readonly interface: string; readonly peer: PeerState }
  /** Another endpoint alone; the WireGuard session goes on. */
  | { readonly kind: 'move-peer'; readonly interface: string; readonly peer: PeerState }
  | { readonly kind: 'remove-peer'; readonly interface: string; readonly publicKey: PublicKey }
  | { readonly kind: 'add-route'; readonly route: RouteState }
  | { readonly kind: 'replace-route'; readonly from: RouteState; readonly to: RouteState }
  | { readonly kind: 'remove-route'; readonly route: RouteState }
  | { readonly kind: 'set-gateway'; readonly from: GatewayRoute | undefined; readonly to: GatewayRoute }
  | { readonly kind: 'remove-gateway'; readonly gateway: GatewayRoute }
  | { readonly kind: 'add-rule'; readonly rule: RuleState }
  | { readonly kind: 'remove-rule'; readonly rule: RuleState }
  | { readonly kind: 'set-firewall'; readonly from: FirewallState | undefined; readonly to: FirewallState }
  | { readonly kind: 'remove-firewall' };

/** What a change is about, for people: "10.9.0.0/24 dmwg-h1". */
export function subjectOf(change: Change): string {
  switch (change.kind) {
    case 'set-sysctl':
      return `${change.name}=${change.to}`;
    case 'create-interface':
      return change.tunnel.name;
    case 'delete-interface':
    case 'configure-interface':
      return change.name;
    case 'add-address':
    case 'remove-address':
      return `${change.address} ${change.interface}`;
    case 'add-peer':
    case 'replace-peer':
    case 'move-peer':
      return `${change.peer.publicKey} ${change.interface} ${change.peer.endpoint ?? ''}`;
    case 'update-peer':
      return `${change.to.publicKey} ${change.interface}`;
    case 'remove-peer':
      return `${change.publicKey} ${change.interface}`;
    case 'add-route':
    case 'remove-route':
      return `${change.route.prefix} ${change.route.interfaces.join()}`;
    case 'replace-route':
      return `${change.to.prefix} ${change.to.interfaces.join()}`;
    case 'set-gateway':
      return gatewayText(change.to);
    case 'remove-gateway':
      return gatewayText(change.gateway);
    case 'add-rule':
    case 'remove-rule':
      return `${String(change.rule.priority)} table ${String(change.rule.table)} IPv${String(change.rule.family)}`;
    case 'set-firewall':
    case 'remove-firewall':
      return '';
  }
}

/** The interface that has to be there for a change; of several ways of a route, any. */
export function interfaceOf(change: Change): string | undefined {
  switch (change.kind) {
    case 'configure-interface':
    case 'delete-interface':
      return change.name;
    case 'add-address':
    case 'remove-address':
    case 'add-peer':
    case 'update-peer':
    case 'replace-peer':
    case 'move-peer':
    case 'remove-peer':
      return change.interface;
    case 'add-route':
    case 'remove-route':
      return change.route.interfaces[0];
    case 'replace-route':
      return change.to.interfaces[0];
    case 'create-interface':
    case 'set-sysctl':
    case 'set-gateway':
    case 'remove-gateway':
    case 'add-rule':
    case 'remove-rule':
    case 'set-firewall':
    case 'remove-firewall':
      return undefined;
  }
}

function gatewayText({ prefix, via, interface: name, table }: GatewayRoute): string {
  return `${prefix}${via === undefined ? '' : ` via ${via}`} ${name} table ${String(table)}`;
}
