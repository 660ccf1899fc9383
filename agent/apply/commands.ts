// Changes as words for `ip` and `wg`. Pure.
import type { Change } from '#agent/decide/change.ts';
import {
  type GatewayRoute,
  type PeerState,
  type RouteState,
  type RuleState,
  routeProtocol,
} from '#agent/decide/host.ts';
import { familyOf, type Prefix } from '#proto/model/address.ts';
import { mainTable } from '#proto/model/routing.ts';

export type IpChange = Extract<
  Change,
  {
    kind:
      | 'add-address'
      | 'remove-address'
      | 'add-route'
      | 'replace-route'
      | 'remove-route'
      | 'set-gateway'
      | 'remove-gateway'
      | 'add-rule'
      | 'remove-rule'
      | 'delete-interface';
  }
>;
export type PeerChange = Extract<
  Change,
  { kind: 'add-peer' | 'update-peer' | 'replace-peer' | 'move-peer' | 'remove-peer' }
>;

/** One argument of a program holds at most 128 KiB: this many prefixes fit for sure. */
const prefixesPerArgument = 2000;

/** Linux wants a gateway in a multipath route of IPv6; a tunnel does not look at it. */
const anyGateway = 'fe80::1';

/** A line for `ip -batch`. */
export function ipLine(change: IpChange): string {
  switch (change.kind) {
    case 'add-address':
      return addressLine(change.interface, change.address);
    case 'remove-address':
      return `address del ${change.address} dev ${change.interface}`;
    case 'add-route':
      return `route add ${routeWords(change.route)}`;
    case 'replace-route':
      return `route replace ${routeWords(change.to)}`;
    case 'remove-route':
      return `route del ${routeWords(change.route)}`;
    case 'set-gateway':
      return `route replace ${gatewayWords(change.to)}`;
    case 'remove-gateway':
      return `route del ${gatewayWords(change.gateway)}`;
    case 'add-rule':
      return `rule add ${ruleWords(change.rule)}`;
    case 'remove-rule':
      return `rule del ${ruleWords(change.rule)}`;
    case 'delete-interface':
      return `link del dev ${change.name}`;
  }
}

/** Without duplicate address detection, an IPv6 address works at once. */
export function addressLine(name: string, address: Prefix): string {
  return `address replace ${address} dev ${name}${familyOf(address) === 6 ? ' nodad' : ''}`;
}

/** Arguments of `wg set NAME`. Removing and adding in one call makes the peer anew: its session and endpoint are forgotten. */
export function peerArguments(change: PeerChange): string[] {
  switch (change.kind) {
    case 'add-peer':
      return ['peer', change.peer.publicKey, ...endpoint(change.peer), ...settings(change.peer)];
    case 'update-peer':
      return ['peer', change.to.publicKey, ...settings(change.to)];
    case 'replace-peer': {
      const key = change.peer.publicKey;
      return ['peer', key, 'remove', 'peer', key, ...endpoint(change.peer), ...settings(change.peer)];
    }
    case 'move-peer':
      return ['peer', change.peer.publicKey, ...endpoint(change.peer)];
    case 'remove-peer':
      return ['peer', change.publicKey, 'remove'];
  }
}

function endpoint(peer: PeerState): string[] {
  return peer.endpoint === undefined ? [] : ['endpoint', peer.endpoint];
}

function settings(peer: PeerState): string[] {
  const allowed = [...peer.allowedIps];
  const words = [
    'persistent-keepalive',
    String(peer.keepalive),
    'allowed-ips',
    allowed.slice(0, prefixesPerArgument).join(','),
  ];
  for (let start = prefixesPerArgument; start < allowed.length; start += prefixesPerArgument) {
    words.push('allowed-ips', allowed.slice(start, start + prefixesPerArgument).join(','));
  }
  return words;
}

function routeWords(route: RouteState): string {
  const source = route.source === undefined ? '' : ` src ${route.source}`;
  const metric = route.metric === 0 ? '' : ` metric ${String(route.metric)}`;
  const table = route.table === mainTable ? '' : ` table ${String(route.table)}`;
  const rest = `proto ${String(routeProtocol)}${table}${metric}${source}`;
  const [first = '', ...more] = route.interfaces;
  if (more.length === 0) return `${route.prefix} dev ${first} ${rest}`;
  const way = familyOf(route.prefix) === 6 ? `nexthop via ${anyGateway} dev` : 'nexthop dev';
  return [route.prefix, rest, ...route.interfaces.map((name) => `${way} ${name}`)].join(' ');
}

function gatewayWords({ prefix, via, onlink, interface: name, source, table }: GatewayRoute): string {
  return [
    prefix,
    ...(via === undefined ? [] : [`via ${via}`]),
    `dev ${name} proto ${String(routeProtocol)} table ${String(table)}`,
    ...(source === undefined ? [] : [`src ${source}`]),
    ...(onlink ? ['onlink'] : []),
  ].join(' ');
}

function ruleWords({ priority, to, from, source, mark, without, table, noDefault }: RuleState): string {
  return [
    `priority ${String(priority)}`,
    ...(source === undefined ? [] : [`from ${source}`]),
    ...(mark === undefined ? [] : [`fwmark ${String(mark)}`]),
    ...(without === undefined ? [] : [`not fwmark ${String(without)}`]),
    ...(to === undefined ? [] : [`to ${to}`]),
    ...(from === undefined ? [] : [`iif ${from}`]),
    table === 'unreachable' ? table : `table ${String(table)}`,
    ...(noDefault ? ['suppress_prefixlength 0'] : []),
    `protocol ${String(routeProtocol)}`,
  ].join(' ');
}
