import { overlaps, type Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { reachableBy } from '#registry/decide/node.ts';
import type { Snapshot } from '#registry/decide/state.ts';

/** The part of a node's answers that may be wrong: what overlaps these prefixes; undefined: all. */
export type Suspects = Map<NodeId, Prefix[] | undefined>;

const none: readonly Prefix[] = [];

/**
 * Whose answers a change of routes may make wrong: the changed node's own, and those of the nodes from which it took a prefix or a part of
 * one. Costs what changed, as it remembers how it was.
 */
export class RouteChanges {
  readonly #reach = new Map<NodeId, readonly Prefix[]>();
  readonly #owners = new Map<Prefix, NodeId>();

  constructor(snapshot: Snapshot) {
    this.reset(snapshot);
  }

  /** Everything may have changed. */
  reset(snapshot: Snapshot): void {
    this.#reach.clear();
    this.#owners.clear();
    for (const node of snapshot.nodes.values())
      this.#reach.set(node.id, reachableBy(node, snapshot.bindings.get(node.id)));
    for (const [prefix, node] of snapshot.routes.entries()) this.#owners.set(prefix, node);
  }

  suspects(snapshot: Snapshot, changed: Iterable<NodeId>): Suspects {
    const suspects: Suspects = new Map();
    for (const id of changed) {
      const node = snapshot.nodes.get(id);
      const before = this.#reach.get(id) ?? none;
      const now = node ? reachableBy(node, snapshot.bindings.get(id)) : none;
      if (node) this.#reach.set(id, now);
      else this.#reach.delete(id);
      suspects.set(id, undefined);
      const known = new Set(before);
      for (const prefix of new Set([...before, ...now])) this.#move(snapshot, prefix, known.has(prefix), suspects);
    }
    return suspects;
  }

  #move(snapshot: Snapshot, prefix: Prefix, known: boolean, suspects: Suspects): void {
    const from = this.#owners.get(prefix);
    const to = snapshot.routes.get(prefix);
    if (known && from === to) return;
    if (to === undefined) this.#owners.delete(prefix);
    else this.#owners.set(prefix, to);
    const losers = [from];
    for (let up = snapshot.routes.parent(prefix); up; up = snapshot.routes.parent(up.prefix)) losers.push(up.value);
    for (const loser of losers) {
      if (loser === undefined) continue;
      const parts = suspects.has(loser) ? suspects.get(loser) : [];
      parts?.push(prefix);
      suspects.set(loser, parts);
    }
  }
}

/** Whether an answer about a node is among those that may be wrong. */
export function isSuspect(parts: readonly Prefix[] | undefined, told: Prefix): boolean {
  return parts === undefined || parts.some((one) => overlaps(one, told));
}
