import { pause } from '#proto/kit/clock.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Snapshot, Transaction } from '#registry/decide/state.ts';
import type { Store } from '#registry/store/port.ts';

const attempts = 24;
/** Milliseconds; the pause before an attempt is random, so that replicas that compete do not meet again. */
const longestPause = 250;

/** A decision that may be to write nothing. */
export interface Decision {
  readonly transaction: Transaction | undefined;
}

/**
 * Decides on the current snapshot and commits; on a conflict decides again on the newer one. Faults: those of `decide`,
 * "unavailable", "cancelled" when nobody waits for it any more, and "conflict" when it happens again and again.
 */
export async function decideAndCommit<D extends Decision>(
  store: Store,
  decide: (snapshot: Snapshot) => Result<D>,
  signal?: AbortSignal,
): Promise<Result<D>> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (attempt > 1) await pause(Math.random() * Math.min(longestPause, 5 * 2 ** attempt), signal);
    if (signal?.aborted) return fail('cancelled', 'the caller does not wait for the answer any more');
    const decision = decide(store.snapshot());
    if (!decision.ok || decision.value.transaction === undefined) return decision;
    const committed = await store.commit(decision.value.transaction);
    if (committed.ok) return ok(decision.value);
    if (committed.fault.code !== 'conflict') return committed;
  }
  return fail('conflict', 'others changed the same things at the same time: try again');
}

/** Lets in one at a time, in the order in which they came: for what would otherwise compete for the same records. */
export class Turnstile {
  #last: Promise<unknown> = Promise.resolve();

  pass<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}
