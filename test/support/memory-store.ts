// The store without etcd: the same mirror, and transactions that are applied at once. Passes the store's contract tests.
import { keyOf, keyText } from '#registry/store/keys.ts';
import { Mirror, type MirrorChange } from '#registry/store/mirror.ts';
import type { Key, Store, StoreChange, Transaction } from '#registry/store/port.ts';
import { fail, ok } from '#proto/model/result.ts';

export interface MemoryStore extends Store {
  /** While away, commits fail as "unavailable" and the snapshot stays as it is. */
  setAway(away: boolean): void;
  /** How many transactions were applied. */
  readonly commits: () => number;
  /** Applies a transaction at once, whatever its conditions say. For fixtures. */
  force(transaction: Partial<Transaction>): void;
  /** Every key, sorted. */
  keys(): string[];
}

export function createMemoryStore(): MemoryStore {
  const mirror = new Mirror();
  const listeners = new Set<(changes: readonly StoreChange[]) => void>();
  let revision = 0n;
  let commits = 0;
  let away = false;

  const apply = (transaction: Transaction): void => {
    revision++;
    const changes: MirrorChange[] = [
      ...transaction.delete.map((key) => ({ kind: 'delete', key: keyText(key) }) as const),
      ...transaction.put.map((put) => ({ kind: 'put', key: keyText(keyOf(put)), revision, put }) as const),
    ];
    const touched = mirror.apply(changes, revision);
    for (const listener of listeners) listener(touched);
  };

  const known = (key: Key): bigint => mirror.entry(keyText(key))?.revision ?? 0n;

  return {
    snapshot: () => mirror.snapshot(),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async commit(transaction) {
      // The conditions are those of the snapshot at the time of the call, as with the real store.
      const expected = transaction.unchanged.map((key) => ({ key, revision: known(key) }));
      await new Promise((resolve) => setImmediate(resolve));
      if (away) return fail('unavailable', 'the store is away');
      const taken = transaction.absent.find((key) => known(key) !== 0n);
      const moved = expected.find(({ key, revision: old }) => known(key) !== old)?.key;
      const broken = taken ?? moved;
      if (broken) return fail('conflict', `${keyText(broken)} changed`);
      commits++;
      apply(transaction);
      return ok(undefined);
    },
    healthy: () => !away,
    setAway(value) {
      away = value;
    },
    commits: () => commits,
    force(transaction) {
      apply({ absent: [], unchanged: [], put: [], delete: [], ...transaction });
    },
    keys: () => [...mirror.keys()].sort(),
  };
}
