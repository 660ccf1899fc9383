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
  /** What was reported by alarm() and is not over. */
  readonly #alarms = new Set<string>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  add(kind: string, node = '', detail = ''): void {
    this.#keep(kind, node, detail);
    this.#log.info({ event: kind, node, detail }, 'event');
  }

  /** Something that the operator must see to: once, until `calm` says that it is over. */
  alarm(kind: string, node: string, detail: string): void {
    const key = `${kind} ${node}`;
    if (this.#alarms.has(key)) return;
    this.#alarms.add(key);
    this.#keep(kind, node, detail);
    this.#log.error({ event: kind, node, detail }, 'event');
  }

  calm(kind: string, node: string): void {
    this.#alarms.delete(`${kind} ${node}`);
  }

  /** Oldest first. */
  list(): RegistryEvent[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
  }

  #keep(kind: string, node: string, detail: string): void {
    this.#ring[this.#next] = { time: this.#clock.date(), kind, node, detail };
    this.#next = (this.#next + 1) % most;
  }
}
