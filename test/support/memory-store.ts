// The store without etcd: the same mirror, and transactions that are applied at once. test/contract/store-suite.ts holds it to
// what the store on etcd does.
import { describeKey, keyOf, keyText } from '#registry/store/keys.ts';
import { Mirror, type MirrorChange } from '#registry/store/mirror.ts';
import type { Key, Store, StoreChange, ToldStore, Transaction } from '#registry/store/port.ts';
import type { ReplicaRecord } from '#registry/decide/records.ts';
import type { ToldRecord } from '#registry/decide/told.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';

export interface MemoryStore extends Store {
  /** While away, commits fail as "unavailable" and the snapshot stays as it is. */
  setAway(away: boolean): void;
  /** How many transactions were applied. */
  readonly commits: () => number;
  /** Applies a transaction at once, whatever its conditions say. For fixtures. */
  force(transaction: Partial<Transaction>): void;
  /** Every key, sorted. */
  keys(): string[];
  /** The same content as another replica has it, with a lease of its own: sessions that it wrote go when it closes. */
  replica(record: ReplicaRecord): MemoryReplica;
}

export type MemoryReplica = Store & { close(): Promise<void> };

type Listener = (changes: readonly StoreChange[]) => void;

/** What etcd takes in one transaction: conditions, or operations. */
const mostOperations = 128;

export function createMemoryStore(): MemoryStore {
  const mirror = new Mirror();
  const listeners = new Set<Listener>();
  /** The replica with whose lease a key goes. */
  const leases = new Map<string, object>();
  let revision = 0n;
  let commits = 0;
  let away = false;

  const apply = (transaction: Transaction, replica: object): void => {
    if (transaction.put.length + transaction.delete.length > 0) revision++;
    for (const key of transaction.delete) leases.delete(keyText(key));
    for (const put of transaction.put) {
      if (put.kind === 'session' || put.kind === 'replica') leases.set(keyText(keyOf(put)), replica);
    }
    const changes: MirrorChange[] = [
      ...transaction.delete.map((key) => ({ kind: 'delete', key: keyText(key) }) as const),
      ...transaction.put.map((put) => ({ kind: 'put', key: keyText(keyOf(put)), revision, put }) as const),
    ];
    const touched = mirror.apply(changes, revision);
    if (touched.length > 0) for (const listener of [...listeners]) listener(touched);
  };

  const known = (key: Key): bigint => mirror.entry(keyText(key))?.revision ?? 0n;

  const records = new Map<string, ToldRecord>();
  const told: ToldStore = {
    async read(asker) {
      await new Promise((resolve) => setImmediate(resolve));
      if (away) return fail('unavailable', 'etcd: the store is away');
      return ok([...records.values()].filter((record) => record.asker === asker));
    },
    async write(changed) {
      await new Promise((resolve) => setImmediate(resolve));
      if (away) return fail('unavailable', 'etcd: the store is away');
      if (changed.length > mostOperations) return fail('refused', 'etcd: too many operations in txn request');
      for (const record of changed) {
        if (record.answers.length > 0) records.set(`${record.asker}/${record.about}`, record);
        else records.delete(`${record.asker}/${record.about}`);
      }
      return ok(undefined);
    },
  };

  const viewOf = (replica: object): Store => ({
    snapshot: () => mirror.snapshot(),
    onChange(listener) {
      // A wrapper of its own: the same function may be registered twice.
      const own: Listener = (changes) => {
        listener(changes);
      };
      listeners.add(own);
      return () => listeners.delete(own);
    },
    async commit(transaction) {
      // The conditions are those of the snapshot at the time of the call, as with the real store.
      const expected = [
        ...transaction.absent.map((key) => ({ key, old: 0n })),
        ...transaction.unchanged.map((key) => ({ key, old: known(key) })),
      ];
      await new Promise((resolve) => setImmediate(resolve));
      if (away) return fail('unavailable', 'etcd: the store is away');
      const refusal = refusalOf(transaction);
      if (refusal !== undefined) return fail('refused', `etcd: ${refusal}`);
      const broken = expected.find(({ key, old }) => known(key) !== old);
      if (broken) return conflict(broken.key, broken.old, known(broken.key));
      commits++;
      apply(transaction, replica);
      return ok(undefined);
    },
    told,
    healthy: () => !away,
  });

  const self = {};
  return {
    ...viewOf(self),
    setAway(value) {
      away = value;
    },
    commits: () => commits,
    force(transaction) {
      apply({ absent: [], unchanged: [], put: [], delete: [], ...transaction }, self);
    },
    keys: () => [...mirror.keys()].sort(),
    replica(record) {
      const lease = {};
      const nothing = { absent: [], unchanged: [], put: [], delete: [] };
      apply({ ...nothing, put: [{ kind: 'replica', record }] }, lease);
      return {
        ...viewOf(lease),
        close() {
          const own = [...mirror.keys()].filter((key) => leases.get(key) === lease);
          const gone = own.flatMap((key) => mirror.entry(key)?.put ?? []).map(keyOf);
          apply({ ...nothing, delete: gone }, lease);
          return Promise.resolve();
        },
      };
    },
  };
}

function conflict(key: Key, old: bigint, now: bigint): Result<never> {
  const what = old === 0n ? 'is taken' : now === 0n ? 'is gone' : 'has changed';
  return fail('conflict', `${describeKey(key)} ${what}`);
}

function refusalOf({ absent, unchanged, put, delete: gone }: Transaction): string | undefined {
  if (absent.length + unchanged.length > mostOperations || put.length + gone.length > mostOperations) {
    return 'too many operations in txn request';
  }
  const written = put.map((one) => keyText(keyOf(one)));
  const touched = new Set([...written, ...gone.map(keyText)]);
  const twice =
    new Set(written).size < written.length || touched.size < written.length + new Set(gone.map(keyText)).size;
  return twice ? 'duplicate key given in txn request' : undefined;
}
