import type { Clock } from '#proto/kit/clock.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Timestamp } from '#proto/model/time.ts';

export interface RegistryEvent {
  readonly time: Timestamp;
  /** A constant, such as "node.registered". */
  readonly kind: string;
  /** Name of the node; empty when it is about none. */
  readonly node: string;
  readonly detail: string;
}

const most = 1000;

/** The last thousand events of this replica; each is a line of the log too. */
export class Events {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #ring: RegistryEvent[] = [];
  #next = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  add(kind: string, node = '', detail = ''): void {
    this.#ring[this.#next] = { time: this.#clock.date(), kind, node, detail };
    this.#next = (this.#next + 1) % most;
    this.#log.info({ event: kind, node, detail }, 'event');
  }

  /** Oldest first. */
  list(): RegistryEvent[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
  }
}
