import type { Clock } from '#proto/kit/clock.ts';
import { type Instant, milliseconds, type Timestamp } from '#proto/model/time.ts';
import type { Store } from '#registry/store/port.ts';

/** A clock that knows besides how far holding times have run. */
export interface RegistryClock extends Clock {
  /**
   * The wall clock without the time in which holding times stood still: while the store was away, and what the wall clock was
   * set forward. For what remains of bindings.
   */
  held(): Timestamp;
}

/** Milliseconds by which the wall clock may run apart from the other one before it counts as set. */
const tolerated = 1000;
/** Milliseconds: the longest holding time. What was lost before is over by then, or held again, and no lag is needed. */
const forgottenAfter = 65_536_000;

export class HoldingClock implements RegistryClock {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'healthy'>;
  #lag = milliseconds(0);
  #last: { readonly now: Instant; readonly date: Timestamp };
  /** When holding times stood still last. */
  #stood: Instant;

  constructor(clock: Clock, store: Pick<Store, 'healthy'>) {
    this.#clock = clock;
    this.#store = store;
    this.#last = { now: clock.now(), date: clock.date() };
    this.#stood = this.#last.now;
  }

  now(): Instant {
    return this.#clock.now();
  }

  date(): Timestamp {
    return this.#clock.date();
  }

  /** To be asked at least every few seconds: a span counts as the store is at its end. */
  held(): Timestamp {
    const now = this.#clock.now();
    const date = this.#clock.date();
    const elapsed = now - this.#last.now;
    const step = date - this.#last.date - elapsed;
    const stood = (this.#store.healthy() ? 0 : elapsed) + (Math.abs(step) > tolerated ? step : 0);
    this.#last = { now, date };
    if (stood !== 0) {
      this.#lag = milliseconds(Math.max(0, this.#lag + stood));
      this.#stood = now;
    } else if (now - this.#stood > forgottenAfter) this.#lag = milliseconds(0);
    return (date - this.#lag) as Timestamp;
  }
}
