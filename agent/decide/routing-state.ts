// What the agent knows of the routes around its host, and what it makes of them (announcing.ts).
import { lengthOf, type Prefix } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import { type Announced, nothingAnnounced } from './announce.ts';
import type { KernelRoute } from './kernel-routes.ts';

export interface RoutingState extends Announced {
  /** Routes of others in the kernel; absent until the first look. */
  readonly routes: readonly KernelRoute[] | undefined;
  /** Those of the networks that the host is in, with their interface. */
  readonly connected: ReadonlyMap<Prefix, string>;
  /** Prefixes of the overlay that have no route here, with the reason. */
  readonly left: ReadonlyMap<Prefix, string>;
  /** The verdict on every prefix of the overlay, and what it was made of besides the prefix. */
  readonly judged: { readonly of: readonly unknown[]; readonly obstacles: ReadonlyMap<Prefix, string | undefined> };
  /** No hub answers, and other routers of the site may do better. */
  readonly cutOff: boolean;
  /** Addresses of the registries, as far as their names are known. */
  readonly registries: readonly Endpoint[];
  /** What the announcements were made of; nothing until it is decided what they are. */
  readonly madeOf: readonly unknown[];
}

export const initialRouting: RoutingState = {
  ...nothingAnnounced,
  routes: undefined,
  connected: new Map(),
  left: new Map(),
  judged: { of: [], obstacles: new Map() },
  cutOff: false,
  registries: [],
  madeOf: [],
};

/** Whether it is decided what is announced. */
export function knowsAnnouncements({ madeOf }: RoutingState): boolean {
  return madeOf.length > 0;
}

/** The networks that this node announces, whether the registry lets it or not; not the default route of an exit. */
export function* announcedPrefixes({ announcements }: RoutingState): Generator<Prefix> {
  for (const prefix of announcements.keys()) if (lengthOf(prefix) > 1) yield prefix;
}
