import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Snapshot, Transaction } from '#registry/decide/state.ts';
import type { Store } from '#registry/store/port.ts';

const attempts = 8;

/** A decision that may be to write nothing. */
export interface Decision {
  readonly transaction: Transaction | undefined;
}

/**
 * Decides on the current snapshot and commits; on a conflict decides again on the newer one. Faults: those of `decide`,
 * "unavailable", and "conflict" when it happens again and again.
 */
export async function decideAndCommit<D extends Decision>(
  store: Store,
  decide: (snapshot: Snapshot) => Result<D>,
): Promise<Result<D>> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const decision = decide(store.snapshot());
    if (!decision.ok || decision.value.transaction === undefined) return decision;
    const committed = await store.commit(decision.value.transaction);
    if (committed.ok) return ok(decision.value);
    if (committed.fault.code !== 'conflict') return committed;
  }
  return fail('conflict', 'others changed the same things at the same time: try again');
}
