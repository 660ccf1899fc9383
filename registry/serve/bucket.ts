import type { Instant, Milliseconds } from '#proto/model/time.ts';

export interface Rate {
  /** Sustained. */
  readonly perSecond: number;
  /** At once, after a rest. */
  readonly burst: number;
}

/** A token bucket. */
export class Bucket {
  readonly #rate: Rate;
  #tokens: number;
  #filled: Instant;

  constructor(rate: Rate, now: Instant) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#filled = now;
  }

  /** Also when there is none: then it is owed. */
  take(now: Instant): void {
    this.#fill(now);
    this.#tokens--;
  }

  /** How long until there is one; 0 if there is. */
  wait(now: Instant): Milliseconds {
    this.#fill(now);
    return Math.max(0, ((1 - this.#tokens) / this.#rate.perSecond) * 1000) as Milliseconds;
  }

  /** As after a long rest. */
  isFull(now: Instant): boolean {
    this.#fill(now);
    return this.#tokens >= this.#rate.burst;
  }

  #fill(now: Instant): void {
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filled) / 1000) * perSecond);
    this.#filled = now;
  }
}
