import { backoff } from '#proto/kit/backoff.ts';
import { pause } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Etcd, EtcdEvent, Listing } from './etcd-port.ts';

/** Where the reflector puts what it reads. */
export interface Reflection {
  /** Everything there is. `trusted`: the store is the same as before, so what has its old revision has its old value. */
  replace(listing: Listing, trusted: boolean): void;
  change(events: readonly EtcdEvent[]): void;
}

export interface ReflectorOptions {
  readonly etcd: Etcd;
  readonly prefix: string;
  readonly into: Reflection;
  readonly logger: Logger;
  /** Milliseconds after which everything is listed again, whatever the watch says. */
  readonly relistEvery?: number;
}

type End = 'compacted' | 'broken' | 'backwards' | 'relist' | 'stopped';

/**
 * Follows a prefix of etcd: lists it at revision R, then watches from R + 1. A broken watch goes on after the last event that
 * was delivered. Where events may be lost (compaction, a store that went back or was replaced) it lists again, and every few
 * minutes in any case.
 */
export class Reflector {
  readonly #options: ReflectorOptions;
  #cluster: string | undefined;
  /** All events up to this revision are in the mirror. */
  #seen = 0n;
  #following = false;
  #relist: (() => void) | undefined;
  #lastError: string | undefined;

  constructor(options: ReflectorOptions) {
    this.#options = options;
  }

  /** Whether the watch is open and nothing is known to be missing. */
  following(): boolean {
    return this.#following;
  }

  /** Why etcd cannot be read, while it cannot. */
  lastError(): string | undefined {
    return this.#lastError;
  }

  /** List again soon. */
  relist(): void {
    this.#relist?.();
  }

  async run(signal: AbortSignal): Promise<void> {
    let waits = backoff(50, 1000, Math.random);
    let end: End = 'relist';
    while (!signal.aborted) {
      if (end !== 'broken' && !(await this.#list())) {
        await pause(waits.next().value, signal);
        continue;
      }
      const opened = { value: false };
      end = await this.#watch(opened, signal);
      if (end === 'relist' || end === 'stopped') continue;
      if (opened.value) waits = backoff(50, 1000, Math.random);
      await pause(waits.next().value, signal);
    }
  }

  async #list(): Promise<boolean> {
    const { etcd, prefix, into, logger } = this.#options;
    let listing: Listing;
    try {
      listing = await etcd.list(prefix);
    } catch (error) {
      this.#failed(errorText(error));
      return false;
    }
    const trusted = listing.cluster === this.#cluster && listing.revision >= this.#seen;
    if (!trusted && this.#cluster !== undefined) {
      logger.error(
        { cluster: listing.cluster, revision: Number(listing.revision), lastRevision: Number(this.#seen) },
        'etcd lost its data or was replaced; following what it has now',
      );
    }
    this.#cluster = listing.cluster;
    this.#seen = listing.revision;
    into.replace(listing, trusted);
    return true;
  }

  #watch(opened: { value: boolean }, signal: AbortSignal): Promise<End> {
    const { etcd, prefix, into, relistEvery = 300_000 } = this.#options;
    return new Promise((resolve) => {
      const finish = (end: End): void => {
        this.#following = false;
        this.#relist = undefined;
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        stop();
        resolve(end);
      };
      const abort = (): void => {
        finish('stopped');
      };
      const stop = etcd.watch(prefix, this.#seen + 1n, {
        opened: (cluster, revision) => {
          // A member that lags behind looks the same; the listing, which a quorum confirms, decides.
          if (cluster !== this.#cluster || revision < this.#seen) {
            finish('backwards');
            return;
          }
          opened.value = true;
          this.#following = true;
          this.#recovered();
        },
        events: (events) => {
          const fresh = events.filter((event) => event.revision > this.#seen);
          const last = fresh.at(-1);
          if (last === undefined) return;
          this.#seen = last.revision;
          into.change(fresh);
        },
        ended: (reason, message) => {
          this.#failed(message);
          finish(reason);
        },
      });
      // Replicas that started together do not list together.
      const timer = setTimeout(finish, relistEvery * (0.75 + Math.random() / 2), 'relist');
      this.#relist = () => {
        finish('relist');
      };
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
    });
  }

  #failed(message: string): void {
    if (this.#lastError === undefined) this.#options.logger.warn({ error: message }, 'etcd cannot be followed');
    this.#lastError = message;
  }

  #recovered(): void {
    if (this.#lastError !== undefined) this.#options.logger.info('etcd is followed again');
    this.#lastError = undefined;
  }
}
