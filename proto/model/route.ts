// Announced prefixes as they are distributed.
import type { Address, Prefix } from './address.ts';
import type { NodeId, NodeName } from './names.ts';

/** A node that announces a prefix. */
export interface RouteOrigin {
  readonly node: NodeId;
  readonly name: NodeName;
  /** 255 best, 0 unspecified (RFC 2332 5.2.0.1). */
  readonly preference: number;
  /** Of a default route: its own, for who wants this exit and no other. */
  readonly address?: Address | undefined;
}

/** A prefix and who announces it, best first, never nobody. */
export interface LearnedRoute {
  readonly prefix: Prefix;
  readonly origins: readonly RouteOrigin[];
}
