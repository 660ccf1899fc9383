// The store as the rest of the registry sees it: a snapshot that is always at hand, and transactions that go to etcd.
import type { NodeId } from '#proto/model/names.ts';
import type { Result } from '#proto/model/result.ts';
import type { Snapshot, Transaction } from '#registry/decide/state.ts';

export type { Key, Put, Snapshot, Transaction } from '#registry/decide/state.ts';

/** What a change of the mirror touched. Level-triggered: a listener reads the snapshot. */
export type StoreChange =
  | { readonly kind: 'overlay' }
  | { readonly kind: 'node' | 'binding' | 'session'; readonly id: NodeId }
  | { readonly kind: 'token' | 'replica'; readonly id: string }
  /** A claim, or a full resynchronisation: look at everything. */
  | { readonly kind: 'all' };

export interface Store {
  snapshot(): Snapshot;
  /** Called after the new snapshot is in place, once per batch. Returns the unsubscription. */
  onChange(listener: (changes: readonly StoreChange[]) => void): () => void;
  /**
   * All or nothing. Resolves after the mirror has seen the result. Faults: "conflict" (a condition does not hold; `message`
   * names the key), "unavailable" (etcd did not answer in time; nothing is known of the outcome).
   */
  commit(transaction: Transaction): Promise<Result<void>>;
  /** False while etcd does not answer or the mirror may be stale. */
  healthy(): boolean;
}
