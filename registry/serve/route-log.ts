import type { Prefix } from '#proto/model/address.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import { sameValue } from '#registry/decide/equal.ts';

/** Changes that are kept at least; beyond it, as many as there are routes. */
const leastKept = 1024;

/**
 * Routes, and the order in which they changed: who has read up to a position is brought up to date by what came after it. A
 * change costs the same however many routes and readers there are.
 */
export class RouteLog {
  readonly #routes = new Map<Prefix, LearnedRoute>();
  #changes: Prefix[] = [];
  /** The position of the first of #changes. */
  #start = 0;

  get(prefix: Prefix): LearnedRoute | undefined {
    return this.#routes.get(prefix);
  }

  get size(): number {
    return this.#routes.size;
  }

  /** Where the next change will be. */
  get end(): number {
    return this.#start + this.#changes.length;
  }

  prefixes(): IterableIterator<Prefix> {
    return this.#routes.keys();
  }

  /** Undefined: there is none any more. Returns whether that is news. */
  put(prefix: Prefix, route: LearnedRoute | undefined): boolean {
    const known = this.#routes.get(prefix);
    if (known === route || (known && route && sameValue(known, route))) return false;
    if (route) this.#routes.set(prefix, route);
    else this.#routes.delete(prefix);
    this.#changes.push(prefix);
    const most = Math.max(leastKept, this.#routes.size);
    // Half at once, so that each change pays its part.
    if (this.#changes.length > 2 * most) {
      this.#start += this.#changes.length - most;
      this.#changes = this.#changes.slice(-most);
    }
    return true;
  }

  /** What changed since a position, each once; undefined: too much, everything is to be told. */
  since(position: number): ReadonlySet<Prefix> | undefined {
    if (position < this.#start) return undefined;
    return new Set(this.#changes.slice(position - this.#start));
  }
}
