import { type Instant, type Milliseconds } from '#proto/model/time.ts';
import type { Role } from '#proto/model/names.ts';

export interface PaceLimits {
  /** Sustained. */
  readonly perSecond: number;
  /** At once, after a rest. */
  readonly burst: number;
  /** Not dealt with yet. */
  readonly mostOpen: number;
}

/** Hubs indicate traffic and report endpoints of all their spokes. */
export const paceOf: Readonly<Record<Role, PaceLimits>> = {
  spoke: { perSecond: 100, burst: 256, mostOpen: 64 },
  hub: { perSecond: 2000, burst: 4000, mostOpen: 256 },
};

/** What is paced: the way in of a session, which holds its sender up while it is paused. */
export interface Paced {
  pause(): void;
  resume(): void;
}

/** A token bucket for what a session says: who says more than the registry deals with waits, and nobody else does. */
export class Pace {
  readonly #limits: PaceLimits;
  readonly #paced: Paced;
  readonly #now: () => Instant;
  #tokens: number;
  #filled: Instant;
  #open = 0;
  #paused = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: PaceLimits, paced: Paced, now: () => Instant) {
    this.#limits = limits;
    this.#paced = paced;
    this.#now = now;
    this.#tokens = limits.burst;
    this.#filled = now();
  }

  /** A message came. */
  begin(): void {
    this.#open++;
    this.#fill();
    this.#tokens--;
    this.#look();
  }

  /** A message is dealt with. */
  end(): void {
    this.#open--;
    this.#fill();
    this.#look();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#paused = false;
  }

  #fill(): void {
    const now = this.#now();
    const { perSecond, burst } = this.#limits;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filled) / 1000) * perSecond);
    this.#filled = now;
  }

  #look(): void {
    const poor = this.#tokens < 1;
    if (poor || this.#open >= this.#limits.mostOpen) {
      if (!this.#paused) this.#paced.pause();
      this.#paused = true;
      if (poor) this.#lookAgain((((1 - this.#tokens) / this.#limits.perSecond) * 1000) as Milliseconds);
    } else if (this.#paused) {
      this.#paused = false;
      this.#paced.resume();
    }
  }

  #lookAgain(wait: Milliseconds): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#fill();
      if (this.#paused) this.#look();
    }, Math.ceil(wait)).unref();
  }
}
