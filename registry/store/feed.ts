import type { Clock } from '#proto/kit/clock.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Instant } from '#proto/model/time.ts';
import type { EtcdEvent, Listing } from './etcd-port.ts';
import { parseKeyText } from './keys.ts';
import type { Mirror, MirrorChange } from './mirror.ts';
import type { StoreChange } from './port.ts';
import { decodeRecord } from './record-codec.ts';
import type { Reflection } from './reflector.ts';

type Listener = (changes: readonly StoreChange[]) => void;

interface Waiter {
  readonly holds: () => boolean;
  readonly settle: (held: boolean) => void;
}

/** Decodes what the reflector reads into the mirror, then tells the listeners, then those who wait for it. */
export class Feed implements Reflection {
  readonly #root: string;
  readonly #mirror: Mirror;
  readonly #logger: Logger;
  readonly #listeners = new Set<Listener>();
  readonly #waiters = new Set<Waiter>();

  constructor(root: string, mirror: Mirror, logger: Logger) {
    this.#root = root;
    this.#mirror = mirror;
    this.#logger = logger;
  }

  onChange(listener: Listener): () => void {
    // A wrapper of its own: the same function may be registered twice.
    const own: Listener = (changes) => {
      listener(changes);
    };
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Resolves when `holds`, which is asked after every batch; with false at the deadline. */
  async until(holds: () => boolean, clock: Clock, deadline: Instant): Promise<boolean> {
    if (holds()) return true;
    return new Promise((resolve) => {
      const waiter: Waiter = {
        holds,
        settle: (held) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve(held);
        },
      };
      const timer = setTimeout(waiter.settle, Math.max(0, deadline - clock.now()), false);
      this.#waiters.add(waiter);
    });
  }

  replace(listing: Listing, trusted: boolean): void {
    const listed = new Set(listing.entries.map((entry) => entry.key.slice(this.#root.length)));
    const changes: MirrorChange[] = [...this.#mirror.keys()]
      .filter((key) => !listed.has(key))
      .map((key) => ({ kind: 'delete', key }));
    for (const { key, value, revision } of listing.entries) {
      const known = this.#mirror.entry(key.slice(this.#root.length));
      if (!trusted || known?.revision !== revision) changes.push(this.#decode(key, value, revision));
    }
    const touched = this.#mirror.apply(changes, listing.revision);
    this.#announce(touched.length > 0 ? [{ kind: 'all' }] : []);
  }

  change(events: readonly EtcdEvent[]): void {
    const revision = events.at(-1)?.revision ?? this.#mirror.snapshot().revision;
    this.#announce(
      this.#mirror.apply(
        events.map((event) =>
          event.kind === 'put'
            ? this.#decode(event.key, event.value, event.revision)
            : { kind: 'delete', key: event.key.slice(this.#root.length) },
        ),
        revision,
      ),
    );
  }

  #decode(etcdKey: string, value: string, revision: bigint): MirrorChange {
    const text = etcdKey.slice(this.#root.length);
    const key = parseKeyText(text);
    const put = key.ok ? decodeRecord(key.value, value) : key;
    if (put.ok) return { kind: 'put', key: text, revision, put: put.value };
    this.#logger.error(
      { key: etcdKey, revision: Number(revision), code: put.fault.code, error: put.fault.message },
      'a record in etcd cannot be read and is ignored',
    );
    return { kind: 'put', key: text, revision, put: undefined };
  }

  #announce(changes: readonly StoreChange[]): void {
    if (changes.length > 0) {
      for (const listener of [...this.#listeners]) {
        try {
          listener(changes);
        } catch (error) {
          this.#logger.error({ err: error }, 'a listener of the store failed');
        }
      }
    }
    for (const waiter of [...this.#waiters]) if (waiter.holds()) waiter.settle(true);
  }
}
