// What the agent owns on its host, as one value. Observed state and desired state have this same type; their difference is
// a list of changes (change.ts). Pure: imports proto/model only.
import { type Address, type Family, familyOf, type Prefix } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { Seconds } from '#proto/model/time.ts';

/** The number in the kernel's route protocol field that marks a route as ours (`ip route ... proto 109`). */
export const routeProtocol = 109;

export interface HostState {
  /** Interfaces of ours, by name. */
  readonly interfaces: ReadonlyMap<string, TunnelState>;
  /** Observed: those whose WireGuard did not answer; of them only the link is known. */
  readonly unreadable?: ReadonlySet<string>;
  /** Routes with our protocol number that leave by an interface of ours, by routeKey. */
  readonly routes: ReadonlyMap<string, RouteState>;
  /** Routes with our protocol number in the tables of our uplinks, by gatewayKey. */
  readonly gateways: ReadonlyMap<string, GatewayRoute>;
  /** Routing rules with our protocol number and one of our priorities, by ruleKey. */
  readonly rules: ReadonlyMap<string, RuleState>;
  /** Our nftables table; absent when there is none. */
  readonly firewall: FirewallState | undefined;
  /** Those that we set, by name: "net.ipv4.ip_forward" -> "1". Observed: the value of every name that is desired. */
  readonly sysctls: ReadonlyMap<string, string>;
}

export const nothing: HostState = {
  interfaces: new Map(),
  routes: new Map(),
  gateways: new Map(),
  rules: new Map(),
  firewall: undefined,
  sysctls: new Map(),
};

export interface TunnelState {
  readonly name: string;
  readonly publicKey: PublicKey | undefined;
  /** UDP port; 0 = the kernel chooses. */
  readonly listenPort: number;
  readonly mtu: number;
  /** On the packets that WireGuard itself sends; 0: none. */
  readonly mark: number;
  readonly up: boolean;
  /** Node addresses (/32, /128) and the link address (/128); without the kernel's own fe80::. */
  readonly addresses: ReadonlySet<Prefix>;
  readonly peers: ReadonlyMap<PublicKey, PeerState>;
}

export interface PeerState {
  readonly publicKey: PublicKey;
  /**
   * Desired: where a new peer starts. Observed: where it is now. A difference is no reason for a change: WireGuard lets
   * peers roam. To force an endpoint, the peer is made anew (`replace-peer`).
   */
  readonly endpoint: Endpoint | undefined;
  readonly allowedIps: ReadonlySet<Prefix>;
  /** 0 = off. */
  readonly keepalive: Seconds;
}

export interface RouteState {
  readonly prefix: Prefix;
  /** One; or several, sorted, that share the traffic (a multipath route). */
  readonly interfaces: readonly string[];
  /** Preferred source address. */
  readonly source: Address | undefined;
  readonly metric: number;
  readonly table: number;
}

/** A route by an interface of the host, for the packets of tunnels that leave by it. */
export interface GatewayRoute {
  readonly prefix: Prefix;
  readonly interface: string;
  readonly via: Address | undefined;
  /** The gateway is there though no route says so. */
  readonly onlink: boolean;
  readonly source: Address | undefined;
  readonly table: number;
}

/** A routing rule (ip-rule(8)). */
export interface RuleState {
  readonly family: Family;
  readonly priority: number;
  /** Only what goes there. */
  readonly to: Prefix | undefined;
  /** Only what came in by it. */
  readonly from: string | undefined;
  /** Only what has this source. */
  readonly source: Prefix | undefined;
  /** Only what has this mark. */
  readonly mark: number | undefined;
  /** Only what does not have this mark. */
  readonly without: number | undefined;
  readonly table: number | 'unreachable';
  /** The table's default routes do not count. */
  readonly noDefault: boolean;
}

/** The content of our table is a function of these values; the kernel keeps their text in the table (firewall-state.ts). */
export interface FirewallState {
  /** Interfaces between which forwarded traffic is indicated (hubs); empty = no indication. */
  readonly indicate: readonly string[];
  /** Tunnels to other hubs (hubs): nothing goes from one of them to another. */
  readonly apart: readonly string[];
  /** Interfaces by which leaving traffic is indicated, forwarded or local (hub tunnels of spokes in phase 2, or without a hub). */
  readonly notice: readonly string[];
  /** NFLOG group of the indications. */
  readonly nflogGroup: number;
  /** Seconds until the same (source, destination) is indicated again. */
  readonly indicateAgain: Seconds;
  /** Interfaces whose traffic counts as use of a shortcut; empty = no accounting. */
  readonly account: readonly string[];
  /** How long an address counts as in use. */
  readonly idleTimeout: Seconds;
  /** All interfaces of ours, on which BFD packets with a hop limit under 255 are dropped (RFC 5881 section 5). */
  readonly tunnels: readonly string[];
  /** Where a tunnel's traffic may leave to the host's other networks: the announced prefixes, none inside another. */
  readonly reachable: readonly Prefix[];
  /** Whether answers to what the host's other networks began may go anywhere in them: the kernel then tracks connections. */
  readonly tracked: boolean;
  /** Interfaces on which a tunnel's traffic gets the host's own address; "*": any. */
  readonly masquerade: readonly string[];
  /** Nothing leaves but by a tunnel; absent: anything may. */
  readonly killSwitch: KillSwitch | undefined;
  /** What leaves with this mark comes from that address, whatever WireGuard remembers of where it was asked last. */
  readonly sources: readonly MarkedSource[];
  /** Where link addresses are: never counted as use, and spoken to by BFD only over a tunnel. */
  readonly linkPrefix: Prefix;
}

export interface MarkedSource {
  readonly mark: number;
  readonly address: Address;
}

/** What leaves past the tunnels though nothing should. */
export interface KillSwitch {
  /** Of WireGuard's own packets. */
  readonly mark: number;
  readonly registries: readonly Endpoint[];
  /** The host's own networks. */
  readonly direct: readonly Prefix[];
}

/** The route slot of the kernel: two routes of one slot exclude each other, whatever their interface. */
export function routeSlot(route: RouteState): string {
  return `${route.prefix} ${String(kernelMetric(route))} ${String(route.table)}`;
}

/** One route per prefix, interfaces and metric. */
export function routeKey(route: RouteState): string {
  return `${route.prefix} ${route.interfaces.join()} ${String(kernelMetric(route))} ${String(route.table)}`;
}

/** One route a prefix. */
export function gatewayKey({ prefix, table }: GatewayRoute): string {
  return `${prefix} ${String(table)}`;
}

export function ruleOf(settings: Pick<RuleState, 'family' | 'priority' | 'table'> & Partial<RuleState>): RuleState {
  const any = { to: undefined, from: undefined, source: undefined, mark: undefined, without: undefined };
  return { ...any, noDefault: false, ...settings };
}

export function ruleKey(rule: RuleState): string {
  const { family, priority, to, from, source, mark, without, table, noDefault } = rule;
  return [family, priority, to, from, source, mark, without, table, noDefault].join(' ');
}

/**
 * The number of our own routing table, of our mark, and the first of our ten priorities of rules: those of uplinks, of hubs that pass
 * on to an exit, of a full tunnel. Two agents in one network
 * namespace have different interface prefixes, and most likely different numbers.
 */
export function policyNumber(interfacePrefix: string): number {
  if (interfacePrefix === 'dmwg') return 10_900;
  let hash = 7;
  for (const character of interfacePrefix) hash = (hash * 31 + character.charCodeAt(0)) % 1999;
  return 11_000 + 10 * hash;
}

/** The tables of uplinks are those of our number with something before it. */
export function isUplinkTable(interfacePrefix: string, table: number): boolean {
  return table > 0xffff && (table & 0xffff) === policyNumber(interfacePrefix);
}

export function isOwnPriority(interfacePrefix: string, priority: number): boolean {
  const first = policyNumber(interfacePrefix);
  return first <= priority && priority < first + 10;
}

/** Linux turns the metric 0 of an IPv6 route into 1024. */
function kernelMetric(route: RouteState): number {
  return route.metric === 0 && familyOf(route.prefix) === 6 ? 1024 : route.metric;
}

/** Our interfaces are the prefix and 0 (multipoint), or the prefix, "-h" (hub tunnels) or "-u" (probes of uplinks), and a number. */
export function isOwnInterface(interfacePrefix: string, name: string): boolean {
  return name.startsWith(interfacePrefix) && /^(0|-[hu][1-9]\d*)$/.test(name.slice(interfacePrefix.length));
}

/** A tunnel that is up and has no port found the wanted one taken. Without a key it is only half made. */
export function lacksPort(observed: TunnelState, wanted: TunnelState): boolean {
  return observed.up && observed.publicKey !== undefined && observed.listenPort === 0 && wanted.listenPort !== 0;
}

/** With it on, an interface takes router advertisements only if its accept_ra is 2. */
export const forwarding6 = 'net.ipv6.conf.all.forwarding';

/** How the kernel chooses among the ways of a multipath route: 0 by addresses, 1 by ports as well. */
export const multipathHash = {
  4: 'net.ipv4.fib_multipath_hash_policy',
  6: 'net.ipv6.fib_multipath_hash_policy',
} as const;

/** Kernel settings of one of our interfaces, each in kernels that have it. */
export function interfaceSysctls(name: string): [string, string][] {
  return [
    // Loose, as the way back may go by another of our interfaces.
    [`net.ipv4.conf.${name}.rp_filter`, '2'],
    [`net.ipv4.conf.${name}.send_redirects`, '0'],
    [`net.ipv6.conf.${name}.disable_ipv6`, '0'],
    // No fe80:: address, as with kernel WireGuard, and no routes from the other end.
    [`net.ipv6.conf.${name}.addr_gen_mode`, '1'],
    [`net.ipv6.conf.${name}.accept_ra`, '0'],
  ];
}

/** Whether it is a setting of one interface. */
export function isInterfaceSysctl(name: string): boolean {
  return /^net\.ipv[46]\.conf\.(?!all\.|default\.)/.test(name);
}

/** Our nftables table in the inet family. */
export function firewallTable(interfacePrefix: string): string {
  return `dmwg_${interfacePrefix}`;
}
