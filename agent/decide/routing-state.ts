// What the agent knows of the routes around its host, and what it makes of them (announcing.ts).
import type { Prefix } from '#proto/model/address.ts';
import { type Announced, nothingAnnounced } from './announce.ts';
import type { KernelRoute } from './kernel-routes.ts';

export interface RoutingState extends Announced {
  /** Routes of others in the kernel; absent until the first look. */
  readonly routes: readonly KernelRoute[] | undefined;
  /** Those of the networks that the host is in, with their interface. */
  readonly connected: ReadonlyMap<Prefix, string>;
  /** Prefixes of the overlay that have no route here, with the reason. */
  readonly left: ReadonlyMap<Prefix, string>;
  /** What the announcements were made of; nothing until it is decided what they are. */
  readonly madeOf: readonly unknown[];
}

export const initialRouting: RoutingState = {
  ...nothingAnnounced,
  routes: undefined,
  connected: new Map(),
  left: new Map(),
  madeOf: [],
};

/** Whether it is decided what is announced. */
export function knowsAnnouncements({ madeOf }: RoutingState): boolean {
  return madeOf.length > 0;
}

/** What this node announces, whether the registry lets it or not. */
export function announcedPrefixes({ announcements }: RoutingState): Iterable<Prefix> {
  return announcements.keys();
}
