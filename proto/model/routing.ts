// How a node takes part in the routing around it: what it announces of its host's routes, and where it puts those of the overlay.
import type { Prefix } from './address.ts';
import type { NodeName } from './names.ts';
import type { PrefixRule } from './prefix-list.ts';
import { fail, ok, type Result } from './result.ts';

/** Which routes of the kernel are announced. Everything that is given must match. */
export interface ImportRule {
  /** The kernel's number of who made the route; absent: any but the kernel itself and dmwg. */
  readonly protocol: number | undefined;
  readonly table: number;
  /** One of them; empty: any. */
  readonly interfaces: readonly string[];
  /** Empty: any but default routes. */
  readonly prefixes: readonly PrefixRule[];
  readonly except: readonly PrefixRule[];
  readonly metric: { readonly least: number; readonly most: number } | undefined;
  /** NHRP's: 255 best, 0 unspecified. */
  readonly preference: number;
}

export interface StaticAnnouncement {
  readonly prefix: Prefix;
  readonly preference: number;
}

export interface RoutingConfig {
  /** Where the overlay's routes go. */
  readonly table: number;
  /** Of a shortcut's route; that by a hub has 50 more. With the distance in its first byte. */
  readonly metric: number;
  /** 0 to 255: the first byte of the metrics, which FRR reads as administrative distance. */
  readonly distance: number;
  /** Other nodes at this place: what they announce is announced from here, too, as a backup. */
  readonly site: readonly NodeName[];
  /** Interfaces whose networks are announced. */
  readonly connected: readonly string[];
  readonly static: readonly StaticAnnouncement[];
  readonly import: readonly ImportRule[];
  /** Interfaces on which the overlay's traffic leaves with this host's address; "*": any. */
  readonly masquerade: readonly string[];
  /** At most so many prefixes are announced. */
  readonly limit: number;
  readonly loadSharing: LoadSharing;
}

/** Among hubs of equal priority: the one that is there stays; or all, each pair of addresses or each flow by one of them. */
export const loadSharings = ['off', 'addresses', 'flows'] as const;
export type LoadSharing = (typeof loadSharings)[number];

/** Full tunnel: what is for nobody in the overlay leaves it through this node. */
export interface ExitConfig {
  readonly via: NodeName;
  /** Nothing goes past the tunnels while it is on. */
  readonly killSwitch: boolean;
  /** Reached past the tunnels all the same. */
  readonly direct: readonly Prefix[];
}

export const mainTable = 254;
/** A registration is one NHRP message of at most 1,024 entries. */
export const mostAnnounced = 1000;
/** Worse than anything that FRR learns by itself: the LAN's own routes come first. */
export const importingDistance = 210;

export const defaultRouting: RoutingConfig = {
  table: mainTable,
  metric: 50,
  distance: 0,
  site: [],
  connected: [],
  static: [],
  import: [],
  masquerade: [],
  limit: mostAnnounced,
  loadSharing: 'off',
};

export const kernelProtocol = 2;

/** Of /etc/iproute2/rt_protos. */
const protocols: Readonly<Record<string, number>> = {
  redirect: 1,
  kernel: kernelProtocol,
  boot: 3,
  static: 4,
  ra: 9,
  zebra: 11,
  bird: 12,
  dhcp: 16,
  keepalived: 18,
  babel: 42,
  bgp: 186,
  isis: 187,
  ospf: 188,
  rip: 189,
  ripng: 190,
  eigrp: 192,
};

/** A name as `ip route` prints it, or a number from 1 to 255. */
export function parseRouteProtocol(text: string): Result<number> {
  const known = protocols[text];
  if (known !== undefined) return ok(known);
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= 255) return ok(number);
  const names = Object.keys(protocols).join(', ');
  return fail('bad-protocol', `"${text.slice(0, 32)}" is not a number from 1 to 255 or one of ${names}`);
}

export function formatRouteProtocol(number: number): string {
  return Object.entries(protocols).find(([, value]) => value === number)?.[0] ?? String(number);
}

/** "main", "default", or a number. */
export function parseTable(text: string): Result<number> {
  if (text === 'main') return ok(mainTable);
  if (text === 'default') return ok(253);
  const number = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= 0xffff_ffff && number !== 255) return ok(number);
  return fail('bad-table', `"${text.slice(0, 32)}" is not main, default, or the number of a routing table`);
}

export function formatTable(table: number): string {
  return table === mainTable ? 'main' : String(table);
}
