// What the registry must do, as plainly as it can be said: a table of who holds what, looked through from end to end.
import { containsPrefix, lengthOf, type Prefix } from '#proto/model/address.ts';
import { cieCode } from '#proto/model/nhrp.ts';

/** A node by number, with what only it may announce. */
export interface Claim {
  readonly node: number;
  readonly prefix: Prefix;
}

interface Holding {
  key: string;
  prefixes: readonly Prefix[];
  /** Milliseconds; while its session is open a node holds without end. */
  lostAt: number | undefined;
}

export class NhrpModel {
  readonly claims: readonly Claim[];
  /** Milliseconds. */
  readonly holdingTime: number;
  readonly #holdings = new Map<number, Holding>();

  constructor(claims: readonly Claim[], holdingTime: number) {
    this.claims = claims;
    this.holdingTime = holdingTime;
  }

  /** A key is one node's. Whoever comes with another key of its own roams. */
  register(node: number, key: string): number {
    if ([...this.#holdings].some(([other, held]) => other !== node && held.key === key))
      return cieCode.alreadyRegistered;
    this.#holdings.set(node, { key, prefixes: this.#holdings.get(node)?.prefixes ?? [], lostAt: undefined });
    return cieCode.ok;
  }

  /** All that is allowed of the list; the code of each. */
  announce(node: number, prefixes: readonly Prefix[]): number[] {
    const held = this.#holdings.get(node);
    if (!held) return prefixes.map(() => cieCode.prohibited);
    const codes = prefixes.map((prefix) => this.#codeOf(node, prefix));
    held.prefixes = prefixes.filter((_, at) => codes[at] === cieCode.ok);
    held.lostAt = undefined;
    return codes;
  }

  /** An own address takes all away, anything else the prefixes inside. */
  purge(node: number, address: Prefix, what: Prefix): void {
    const held = this.#holdings.get(node);
    if (!held) return;
    if (containsPrefix(what, address)) this.#holdings.delete(node);
    else held.prefixes = held.prefixes.filter((prefix) => !containsPrefix(what, prefix));
  }

  lose(node: number, now: number): void {
    const held = this.#holdings.get(node);
    if (held) held.lostAt ??= now;
  }

  expire(now: number): void {
    for (const [node, { lostAt }] of this.#holdings) {
      if (lostAt !== undefined && now - lostAt >= this.holdingTime) this.#holdings.delete(node);
    }
  }

  /** "node key prefix,prefix", sorted. */
  table(): string[] {
    return [...this.#holdings]
      .map(([node, { key, prefixes }]) => `${String(node)} ${key} ${[...new Set(prefixes)].sort().join()}`)
      .sort();
  }

  /** The node of the longest prefix around an address. */
  owner(target: Prefix, addressOf: (node: number) => Prefix): number | undefined {
    let best: { readonly node: number; readonly length: number } | undefined;
    for (const [node, { prefixes }] of this.#holdings) {
      for (const prefix of [addressOf(node), ...prefixes]) {
        if (containsPrefix(prefix, target) && (!best || lengthOf(prefix) > best.length))
          best = { node, length: lengthOf(prefix) };
      }
    }
    return best?.node;
  }

  #codeOf(node: number, prefix: Prefix): number {
    const around = this.claims.filter((claim) => containsPrefix(claim.prefix, prefix));
    if (!around.some((claim) => claim.node === node)) return cieCode.prohibited;
    const closest = around.reduce((a, b) => (lengthOf(b.prefix) > lengthOf(a.prefix) ? b : a));
    return closest.node === node ? cieCode.ok : cieCode.alreadyRegistered;
  }
}
