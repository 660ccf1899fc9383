import { randomUUID } from 'node:crypto';
import { backoff } from '#proto/kit/backoff.ts';
import { type Clock, pause } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Instant } from '#proto/model/time.ts';
import { type Entry, type Etcd, EtcdError } from './etcd-port.ts';
import { keyOf, keyText, parseKeyText } from './keys.ts';
import type { Put } from './port.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';

/** Seconds after which a dead replica's keys go. */
const leaseTtl = 10;
/** Milliseconds between renewals. */
const renewEvery = 2500;
/** Milliseconds without an answer after which etcd counts as away. */
const staleAfter = 2 * renewEvery + 500;
/** Keys that are put again in one transaction; etcd takes 128 operations. */
const chunk = 60;

export interface LeaseOptions {
  readonly etcd: Etcd;
  readonly root: string;
  readonly replica: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** This replica's one lease: granted, renewed, granted again when lost, and then given the keys that it had. */
export class ReplicaLease {
  readonly #options: LeaseOptions;
  /** Key text -> what this replica holds there. */
  readonly #bound = new Map<string, Put>();
  #current: string | undefined;
  #lastAlive: Instant | undefined;
  /** Ends #hold. */
  #release: (() => void) | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Throws a transient EtcdError while there is none. */
  current(): string {
    if (this.#current === undefined) throw new EtcdError('transient', 'this replica has no lease at the moment');
    return this.#current;
  }

  /** Whether etcd answered lately. */
  fresh(): boolean {
    return this.#lastAlive !== undefined && this.#options.clock.now() - this.#lastAlive < staleAfter;
  }

  /** From now on the key is put again when its lease was lost. `lease` is the one that it was put with. */
  bind(put: Put, lease: string): void {
    const key = keyText(keyOf(put));
    this.#bound.set(key, put);
    if (lease !== this.#current && this.#current !== undefined) {
      this.#rebind(this.#current, [[key, put]]).catch((error: unknown) => {
        this.#options.logger.warn({ key, error: errorText(error) }, 'a key could not be bound to the new lease');
      });
    }
  }

  /** etcd does not know `lease` any more: get another one now. Returns the error for the caller's attempt. */
  lost(lease: string | undefined): EtcdError {
    if (lease !== undefined && lease === this.#current) {
      this.#current = undefined;
      this.#release?.();
    }
    return new EtcdError('transient', 'the lease of this replica was lost');
  }

  /** The nodes whose sessions are bound. */
  sessions(): NodeId[] {
    return [...this.#bound.values()].flatMap((put) => (put.kind === 'session' ? [put.record.node] : []));
  }

  unbind(key: string): void {
    this.#bound.delete(key);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { etcd, clock } = this.#options;
    let waits = backoff(50, 1000, Math.random);
    while (!signal.aborted) {
      try {
        const lease = await etcd.grantLease(leaseTtl);
        this.#current = lease;
        this.#lastAlive = clock.now();
        await this.#rebind(lease, [...this.#bound]);
        waits = backoff(50, 1000, Math.random);
        await this.#hold(lease, signal);
      } catch {
        // The reflector reports that etcd is away; here there is only one thing to do.
        await pause(waits.next().value, signal);
      }
    }
  }

  /** Its keys go at once. */
  async revoke(): Promise<void> {
    const lease = this.#current;
    this.#current = undefined;
    this.#bound.clear();
    if (lease !== undefined) await this.#options.etcd.revokeLease(lease);
  }

  /** Resolves when the lease is lost, or on abort. */
  async #hold(lease: string, signal: AbortSignal): Promise<void> {
    const { etcd, clock, logger } = this.#options;
    let waits = backoff(50, 1000, Math.random);
    while (!signal.aborted) {
      const end = await new Promise<'lost' | 'broken'>((resolve) => {
        const abort = (): void => {
          stop();
          resolve('broken');
        };
        this.#release = () => {
          signal.removeEventListener('abort', abort);
          stop();
          resolve('lost');
        };
        const stop = etcd.keepAlive(lease, renewEvery, {
          alive: () => {
            this.#lastAlive = clock.now();
            waits = backoff(50, 1000, Math.random);
          },
          ended: (reason) => {
            signal.removeEventListener('abort', abort);
            resolve(reason);
          },
        });
        signal.addEventListener('abort', abort, { once: true });
      });
      if (end === 'lost') {
        logger.warn({ lease }, 'the lease of this replica was lost; getting another');
        return;
      }
      await pause(waits.next().value, signal);
    }
  }

  async #rebind(lease: string, bound: readonly (readonly [string, Put])[]): Promise<void> {
    for (let start = 0; start < bound.length; start += chunk) {
      const part = bound.slice(start, start + chunk);
      if (await this.#putAbsent(lease, part)) continue;
      for (const each of part) await this.#rebindOne(lease, each);
    }
  }

  async #putAbsent(lease: string, part: readonly (readonly [string, Put])[]): Promise<boolean> {
    const { etcd, root } = this.#options;
    const request = randomUUID();
    const outcome = await etcd.transact({
      compare: part.map(([key]) => ({ key: root + key, revision: 0n })),
      put: part.map(([key, put]) => ({ key: root + key, value: encodeRecord(put, request), lease })),
      delete: [],
    });
    return outcome.applied;
  }

  /** Another replica may have taken the session meanwhile: then it is not ours any more. */
  async #rebindOne(lease: string, [key, put]: readonly [string, Put]): Promise<void> {
    const { etcd, root } = this.#options;
    let revision = 0n;
    while (this.#bound.get(key) === put) {
      const value = encodeRecord(put, randomUUID());
      const outcome = await etcd.transact({
        compare: [{ key: root + key, revision }],
        put: [{ key: root + key, value, lease }],
        delete: [],
      });
      if (outcome.applied) return;
      const [found] = outcome.found;
      if (found !== undefined && !this.#owns(key, found)) this.unbind(key);
      revision = found?.revision ?? 0n;
    }
  }

  #owns(text: string, found: Entry): boolean {
    const key = parseKeyText(text);
    const put = key.ok ? decodeRecord(key.value, found.value) : key;
    if (!put.ok) return false;
    return (
      put.value.kind === 'replica' ||
      (put.value.kind === 'session' && put.value.record.replica === this.#options.replica)
    );
  }
}
