import { pause } from '#proto/kit/clock.ts';
import type { NodeId } from '#proto/model/names.ts';
import { milliseconds } from '#proto/model/time.ts';
import { ok } from '#proto/model/result.ts';
import { admit } from '#registry/decide/admit.ts';
import { type Damping, type Flaps, noFlaps, release, remembered } from '#registry/decide/damping.ts';
import { Bucket } from './bucket.ts';
import { decideAndCommit } from './commit.ts';
import type { RegistryContext } from './context.ts';

/** Changes of what one node announces: each is told to others, so who goes beyond waits for its next ones. */
const changes = { perSecond: 5, burst: 50 };
/** Milliseconds between two looks for what is quiet again. */
const interval = 1000;
const never = new AbortController().signal;

/**
 * Keeps what the prefixes of each node did lately, in memory: it is of the last minute. What was damped is announced when it is
 * quiet, whether or not the node asks again.
 */
export class Damper {
  readonly #context: Pick<RegistryContext, 'store' | 'clock' | 'log'>;
  readonly #flaps = new Map<NodeId, Flaps>();
  readonly #buckets = new Map<NodeId, Bucket>();
  readonly #timer: NodeJS.Timeout;

  constructor(context: Pick<RegistryContext, 'store' | 'clock' | 'log'>) {
    this.#context = context;
    this.#timer = setInterval(() => {
      void this.releaseDue();
    }, interval).unref();
  }

  damping(node: NodeId): Damping {
    return { flaps: this.#flaps.get(node) ?? noFlaps, now: this.#context.clock.now(), random: Math.random };
  }

  /** After it is stored. */
  keep(node: NodeId, flaps: Flaps | undefined): void {
    if (!flaps) return;
    if (flaps.size > 0) this.#flaps.set(node, flaps);
    else this.#flaps.delete(node);
  }

  /** Resolves when the node may change something. */
  async turn(node: NodeId): Promise<void> {
    const wait = this.#buckets.get(node)?.wait(this.#context.clock.now()) ?? 0;
    if (wait > 0) await pause(milliseconds(wait), never);
  }

  /** The node changed what it announces. */
  changed(node: NodeId): void {
    const now = this.#context.clock.now();
    const bucket = this.#buckets.get(node) ?? new Bucket(changes, now);
    bucket.take(now);
    this.#buckets.set(node, bucket);
  }

  async releaseDue(): Promise<void> {
    const { store, clock, log } = this.#context;
    const now = clock.now();
    for (const [node, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(node);
    for (const [node, flaps] of this.#flaps) {
      const at = { now, date: clock.date() };
      const done = await decideAndCommit(store, (snapshot) => {
        const known = admit(snapshot, node);
        return known.ok ? ok({ transaction: release(snapshot, known.value, flaps, at) }) : known;
      });
      if (!done.ok) log.debug({ node, fault: done.fault.code }, 'what was damped is not announced yet');
      else if (this.#flaps.get(node) === flaps) this.keep(node, remembered(flaps, now));
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
