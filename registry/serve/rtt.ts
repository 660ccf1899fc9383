import { type Instant, type Milliseconds, milliseconds } from '#proto/model/time.ts';

/** Samples that count. The least of them is the path without queues. */
const window = 6;
const mostOpen = 16;
/** Milliseconds; an answer that is later says more of the node than of the path. */
const latest = 2000;

/** The round trip of one session, from pings and their answers. */
export class RttMeter {
  readonly #open = new Map<bigint, Instant>();
  readonly #samples: number[] = [];
  #next = 1n;

  /** The id of a ping that is sent now. */
  ping(now: Instant): bigint {
    const id = this.#next++;
    this.#open.set(id, now);
    const oldest = this.#open.keys().next().value;
    if (this.#open.size > mostOpen && oldest !== undefined) this.#open.delete(oldest);
    return id;
  }

  pong(id: bigint, now: Instant): void {
    const sent = this.#open.get(id);
    if (sent === undefined) return;
    this.#open.delete(id);
    if (now - sent > latest) return;
    this.#samples.push(now - sent);
    if (this.#samples.length > window) this.#samples.shift();
  }

  /** Undefined before the first answer. */
  get rtt(): Milliseconds | undefined {
    return this.#samples.length === 0 ? undefined : milliseconds(Math.min(...this.#samples));
  }
}
