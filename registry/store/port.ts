// The store as the rest of the registry sees it: a snapshot that is always at hand, and transactions that go to etcd.
import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Result } from '#proto/model/result.ts';
import type { Snapshot, Transaction } from '#registry/decide/state.ts';
import type { ToldRecord } from '#registry/decide/told.ts';

export type { EtcdCredentials } from './etcd-port.ts';
export type { Key, Put, Snapshot, Transaction } from '#registry/decide/state.ts';

/** What a change of the mirror touched. Level-triggered: a listener reads the snapshot. */
export type StoreChange =
  | { readonly kind: 'overlay' }
  /** A claim counts as a change of its node. */
  | { readonly kind: 'node' | 'binding' | 'revocation' | 'session'; readonly id: NodeId }
  | { readonly kind: 'token' | 'clear' | 'replica'; readonly id: string }
  /** Who leads to a prefix, an address of a node among them, or how well. */
  | { readonly kind: 'route'; readonly prefix: Prefix }
  /** A full resynchronisation after changes were missed: look at everything. */
  | { readonly kind: 'all' };

export interface Store {
  /** Live: its maps change in place with the next batch. Use it within one turn; ask again after every await. */
  snapshot(): Snapshot;
  /** Called after the new snapshot is in place, once per batch. Returns the unsubscription. */
  onChange(listener: (changes: readonly StoreChange[]) => void): () => void;
  /**
   * All or nothing. `unchanged` means as the mirror has it at the moment of the call, so call it in the same turn in which
   * the snapshot was read. Resolves after the mirror has seen the result, or what stands against it: a caller that meets a
   * conflict can decide again at once. Commits that are under way together have no order. Takes 3 s at most. Faults:
   * - "conflict": a condition does not hold; `message` names the key.
   * - "unavailable": etcd did not answer in time; nothing is known of the outcome.
   * - "unreadable": a key holds a record that this version cannot read, which is never overwritten.
   * - "refused": etcd does not take the transaction (no right to write, more than its 128 operations); nothing was written.
   */
  commit(transaction: Transaction): Promise<Result<void>>;
  /** Which node was told what. */
  readonly told: ToldStore;
  /** False while etcd does not answer or is not followed. Right after an outage the mirror may lag for one replay more. */
  healthy(): boolean;
}

/**
 * What nodes were told, kept apart: only the replica with a node's session needs it, so no replica mirrors it. It goes when its time is
 * over.
 */
export interface ToldStore {
  /** All that a node was told, by whatever replica. What this version cannot read is left out. Fault: "unavailable". */
  read(asker: NodeId): Promise<Result<ToldRecord[]>>;
  /** Replaces these records, in one transaction: at most 128. Faults: "unavailable", "refused". */
  write(records: readonly ToldRecord[]): Promise<Result<void>>;
}
