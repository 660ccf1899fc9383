import type { NodeId } from '#proto/model/names.ts';

/** Where the winners go: a Map or a PrefixTable. */
interface Winners<K> {
  set(key: K, owner: NodeId): unknown;
  delete(key: K): unknown;
}

/**
 * Who has a key, when more than one node may say so. The lowest node id wins, so the result depends on the records alone
 * and not on the order in which they came.
 */
export class Ownership<K> {
  readonly #winners: Winners<K>;
  readonly #owner = new Map<K, NodeId>();
  /** All owners, lowest first, of the few keys that have several. */
  readonly #contested = new Map<K, NodeId[]>();

  constructor(winners: Winners<K>) {
    this.#winners = winners;
  }

  /** Replaces what `node` owned. */
  move(node: NodeId, from: readonly K[], to: readonly K[]): void {
    for (const key of from) if (!to.includes(key)) this.#remove(key, node);
    for (const key of to) if (!from.includes(key)) this.#add(key, node);
  }

  #add(key: K, node: NodeId): void {
    const owner = this.#owner.get(key);
    if (owner === undefined) {
      this.#win(key, node);
      return;
    }
    const owners = [...(this.#contested.get(key) ?? [owner])].filter((other) => other !== node);
    owners.push(node);
    this.#settle(key, owners.sort());
  }

  #remove(key: K, node: NodeId): void {
    const owner = this.#owner.get(key);
    if (owner === undefined) return;
    this.#settle(
      key,
      (this.#contested.get(key) ?? [owner]).filter((other) => other !== node),
    );
  }

  #settle(key: K, owners: NodeId[]): void {
    if (owners.length > 1) this.#contested.set(key, owners);
    else this.#contested.delete(key);
    const [winner] = owners;
    if (winner === undefined) {
      this.#owner.delete(key);
      this.#winners.delete(key);
    } else if (winner !== this.#owner.get(key)) this.#win(key, winner);
  }

  #win(key: K, node: NodeId): void {
    this.#owner.set(key, node);
    this.#winners.set(key, node);
  }
}
