import { type Address, addressBits, type Family, familyOf, lengthOf, type Prefix, prefixOf } from './address.ts';

/** Longest-prefix match: a Map per length. A look-up costs one probe per length that is in use. */
export class PrefixTable<T> {
  readonly #byLength: Record<Family, Map<number, Map<Prefix, T>>> = { 4: new Map(), 6: new Map() };
  /** Lengths in use, longest first. */
  readonly #lengths: Record<Family, number[]> = { 4: [], 6: [] };

  constructor(entries: Iterable<readonly [Prefix, T]> = []) {
    for (const [prefix, value] of entries) this.set(prefix, value);
  }

  set(prefix: Prefix, value: T): void {
    const family = familyOf(prefix);
    const length = lengthOf(prefix);
    let entries = this.#byLength[family].get(length);
    if (!entries) {
      entries = new Map();
      this.#byLength[family].set(length, entries);
      this.#lengths[family] = [...this.#byLength[family].keys()].sort((a, b) => b - a);
    }
    entries.set(prefix, value);
  }

  get(prefix: Prefix): T | undefined {
    return this.#byLength[familyOf(prefix)].get(lengthOf(prefix))?.get(prefix);
  }

  delete(prefix: Prefix): void {
    const family = familyOf(prefix);
    const entries = this.#byLength[family].get(lengthOf(prefix));
    if (!entries?.delete(prefix) || entries.size > 0) return;
    this.#byLength[family].delete(lengthOf(prefix));
    this.#lengths[family] = this.#lengths[family].filter((length) => length !== lengthOf(prefix));
  }

  /** The entry of the longest prefix that contains the address. */
  match(address: Address): { readonly prefix: Prefix; readonly value: T } | undefined {
    return this.#match(address, addressBits(familyOf(address)));
  }

  /** The entry of the longest prefix that contains `prefix` and is shorter than it. */
  parent(prefix: Prefix): { readonly prefix: Prefix; readonly value: T } | undefined {
    const network = prefix.slice(0, prefix.indexOf('/')) as Address;
    return this.#match(network, lengthOf(prefix) - 1);
  }

  *entries(): IterableIterator<readonly [Prefix, T]> {
    for (const family of [4, 6] as const) {
      for (const entries of this.#byLength[family].values()) yield* entries;
    }
  }

  #match(address: Address, longest: number): { readonly prefix: Prefix; readonly value: T } | undefined {
    const family = familyOf(address);
    for (const length of this.#lengths[family]) {
      if (length > longest) continue;
      const prefix = prefixOf(address, length);
      const value = this.#byLength[family].get(length)?.get(prefix);
      if (value !== undefined) return { prefix, value };
    }
    return undefined;
  }
}
