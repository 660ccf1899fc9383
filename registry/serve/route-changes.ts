import { networkOf, overlaps, type Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Snapshot } from '#registry/decide/state.ts';

/** The part of a node's answers that may be wrong: what overlaps these prefixes; undefined: all. */
export type Suspects = Map<NodeId, Prefix[] | undefined>;

/**
 * Whose answers a change may make wrong: the changed nodes' own, and those of the nodes that share one of the changed prefixes or
 * announce what is around it. A node that left a prefix is itself a changed one.
 */
export function suspectsOf(snapshot: Snapshot, changed: Iterable<NodeId>, prefixes: Iterable<Prefix>): Suspects {
  const suspects: Suspects = new Map();
  for (const id of changed) suspects.set(id, undefined);
  for (const prefix of prefixes) {
    for (const { candidates } of snapshot.routes.covering(networkOf(prefix))) {
      for (const { node } of candidates) {
        const parts = suspects.has(node) ? suspects.get(node) : [];
        parts?.push(prefix);
        suspects.set(node, parts);
      }
    }
  }
  return suspects;
}

/** Whether an answer about a node is among those that may be wrong. */
export function isSuspect(parts: readonly Prefix[] | undefined, told: Prefix): boolean {
  return parts === undefined || parts.some((one) => overlaps(one, told));
}
