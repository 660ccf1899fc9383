// What the agent knows of the uplinks of its host, and by which each tunnel leaves (uplink-choice.ts).
import type { Address, Prefix } from '#proto/model/address.ts';
import type { Instant } from '#proto/model/time.ts';
import type { BfdState } from './bfd-packet.ts';

export interface UplinkState {
  /** What the kernel has of each, by name; absent until the first look. */
  readonly sights: ReadonlyMap<string, UplinkSight> | undefined;
  /** Whether hubs are reached by an uplink, by probeKey. */
  readonly probes: ReadonlyMap<string, Probe>;
  /** The uplinks by which tunnels leave, by the tunnel's name. */
  readonly places: ReadonlyMap<string, UplinkPlace>;
  /** When to choose again though nothing happens. */
  readonly nextAt: Instant | undefined;
}

/** The routes by an uplink's interface. */
export interface UplinkSight {
  readonly device: string;
  /** What its packets come from. */
  readonly addresses: readonly Address[];
  readonly routes: readonly UplinkRoute[];
}

export interface UplinkRoute {
  readonly prefix: Prefix;
  readonly via: Address | undefined;
  /** The gateway is reached by this interface though no route says so. */
  readonly onlink: boolean;
  readonly source: Address | undefined;
}

/** A BFD session with one hub by one uplink. */
export interface Probe {
  readonly bfd: BfdState;
  /** The last change from or to Up; 0: there was none. */
  readonly since: Instant;
}

export interface UplinkPlace {
  readonly uplink: string;
  readonly since: Instant;
  /** Tries in a row of uplinks of which nothing is known. */
  readonly trials: number;
  /** Where to, once nothing goes by the tunnel any more. */
  readonly next: { readonly uplink: string; readonly at: Instant } | undefined;
}

export const initialUplinks: UplinkState = {
  sights: undefined,
  probes: new Map(),
  places: new Map(),
  nextAt: undefined,
};
