import { type Instant, type Milliseconds } from '#proto/model/time.ts';
import type { Role } from '#proto/model/names.ts';
import { Bucket, type Rate } from './bucket.ts';

export interface PaceLimits extends Rate {
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

/** Who says more on its session than the registry deals with waits, and nobody else does. */
export class Pace {
  readonly #limits: PaceLimits;
  readonly #paced: Paced;
  readonly #now: () => Instant;
  readonly #bucket: Bucket;
  #open = 0;
  #paused = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: PaceLimits, paced: Paced, now: () => Instant) {
    this.#limits = limits;
    this.#paced = paced;
    this.#now = now;
    this.#bucket = new Bucket(limits, now());
  }

  /** A message came. */
  begin(): void {
    this.#open++;
    this.#bucket.take(this.#now());
    this.#look();
  }

  /** A message is dealt with. */
  end(): void {
    this.#open--;
    this.#look();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#paused = false;
  }

  #look(): void {
    const wait = this.#bucket.wait(this.#now());
    if (wait > 0 || this.#open >= this.#limits.mostOpen) {
      if (!this.#paused) this.#paced.pause();
      this.#paused = true;
      if (wait > 0) this.#lookAgain(wait);
    } else if (this.#paused) {
      this.#paused = false;
      this.#paced.resume();
    }
  }

  #lookAgain(wait: Milliseconds): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#paused) this.#look();
    }, Math.ceil(wait)).unref();
  }
}
