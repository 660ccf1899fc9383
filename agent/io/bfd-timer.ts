import type { Clock } from '#proto/kit/clock.ts';

const longestTimeout = 2 ** 31 - 1;
/** Milliseconds after which the process counts as having been held up. */
const late = 20;
const mostRounds = 200;
/** libuv reads at most this many packets from a socket in one round of the loop; fewer say that nothing waits. */
const packetsPerRound = 32;

/**
 * One timer for the earliest wake-up. Before it calls `onDue`, the event loop reads the sockets: a process that was held up
 * must not take packets that wait in its sockets for packets that never came.
 */
export class BfdTimer {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #at = Infinity;
  #packets = 0;

  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Wakes at `at`, and not at what was set before. */
  set(at: number): void {
    if (this.#immediate || at === this.#at) return;
    clearTimeout(this.#timer);
    this.#at = at;
    if (at === Infinity) return;
    const span = Math.ceil(at - this.#clock.now());
    this.#timer = setTimeout(
      () => {
        this.#read(this.#clock.now() - this.#at > late ? mostRounds : 1);
      },
      Math.min(Math.max(span, 0), longestTimeout),
    );
  }

  /** A packet was read. */
  busy(): void {
    this.#packets++;
  }

  close(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
  }

  /** Lets the loop read sockets for one round; for more of them while packets still wait and `rounds` last. */
  #read(rounds: number): void {
    const before = this.#packets;
    this.#immediate = setImmediate(() => {
      if (rounds > 1 && this.#packets - before >= packetsPerRound) {
        this.#read(rounds - 1);
        return;
      }
      this.#immediate = undefined;
      this.#at = Infinity;
      this.#onDue();
    });
  }
}
