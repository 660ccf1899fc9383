import { randomUUID } from 'node:crypto';
import type { Clock } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { after, type Instant, milliseconds } from '#proto/model/time.ts';
import { type Entry, type Etcd, EtcdError, type EtcdTransaction } from './etcd-port.ts';
import type { Feed } from './feed.ts';
import { describeKey, keyOf, keyText } from './keys.ts';
import type { ReplicaLease } from './lease.ts';
import type { Mirror } from './mirror.ts';
import type { Key, Put, Transaction } from './port.ts';
import { encodeRecord, requestOf } from './record-codec.ts';
import { retry } from './retry.ts';

/** Milliseconds for everything: attempts, and waiting until the mirror has the result. */
const commitDeadline = 3000;

export interface CommitPorts {
  readonly etcd: Etcd;
  readonly root: string;
  readonly mirror: Mirror;
  readonly feed: Feed;
  readonly lease: ReplicaLease;
  readonly clock: Clock;
  /** Asked when the mirror did not show what etcd confirmed. */
  readonly relist: () => void;
}

/** What etcd decided, and when the mirror has caught up with it. */
type Decision =
  | { readonly applied: true; readonly lease: string | undefined; readonly shown: () => boolean }
  | { readonly applied: false; readonly conflict: string; readonly shown: () => boolean };

interface Condition {
  readonly key: Key;
  readonly revision: bigint;
}

/** See Store.commit. Reads the mirror's revisions before it first waits: a decision and its commit belong to one turn. */
export async function commit(transaction: Transaction, ports: CommitPorts): Promise<Result<void>> {
  const { mirror, feed, clock, lease } = ports;
  const deadline = after(clock.now(), milliseconds(commitDeadline));
  const written = transaction.put.map(keyOf);
  const unreadable = [...transaction.unchanged, ...written, ...transaction.delete].find((key) => {
    const entry = mirror.entry(keyText(key));
    return entry !== undefined && entry.put === undefined;
  });
  if (unreadable !== undefined) {
    return fail('unreadable', `${describeKey(unreadable)} is stored in a form that this version of dmwg cannot read`);
  }
  const conditions: Condition[] = [
    ...transaction.absent.map((key) => ({ key, revision: 0n })),
    ...transaction.unchanged.map((key) => ({ key, revision: mirror.entry(keyText(key))?.revision ?? 0n })),
  ];

  let decision: Decision;
  try {
    decision = await decide(transaction, conditions, ports, deadline);
  } catch (error) {
    if (error instanceof EtcdError) {
      return fail(error.kind === 'refused' ? 'refused' : 'unavailable', `etcd: ${errorText(error)}`);
    }
    throw error;
  }
  if (decision.applied) {
    for (const key of transaction.delete) lease.unbind(keyText(key));
    if (decision.lease !== undefined)
      for (const put of transaction.put.filter(isLeased)) lease.bind(put, decision.lease);
  }
  const shown = await feed.until(decision.shown, clock, deadline);
  if (!decision.applied) return fail('conflict', decision.conflict);
  if (shown) return ok(undefined);
  ports.relist();
  return fail('unavailable', 'etcd took the change, but does not report it');
}

async function decide(
  transaction: Transaction,
  conditions: readonly Condition[],
  { etcd, root, mirror, lease, clock }: CommitPorts,
  deadline: Instant,
): Promise<Decision> {
  const request = randomUUID();
  return retry(clock, deadline, async (again) => {
    const leaseId = transaction.put.some(isLeased) ? lease.current() : undefined;
    const outcome = await etcd
      .transact(toEtcd(transaction, conditions, root, { request, leaseId }))
      .catch((error: unknown) => {
        throw error instanceof EtcdError && error.kind === 'no-lease' ? lease.lost(leaseId) : error;
      });
    if (outcome.applied) {
      const { revision, changed } = outcome;
      return { applied: true, lease: leaseId, shown: () => !changed || mirror.snapshot().revision >= revision };
    }
    const found = new Map(outcome.found.map((entry) => [entry.key.slice(root.length), entry]));
    // An attempt whose answer was lost may be what now stands in the way.
    const own = again ? outcome.found.find((entry) => requestOf(entry.value) === request) : undefined;
    if (own !== undefined) {
      return { applied: true, lease: leaseId, shown: () => mirror.snapshot().revision >= own.revision };
    }
    if (again && isAlreadyDeleted(transaction, conditions, found)) {
      const gone = (): boolean => transaction.delete.every((key) => mirror.entry(keyText(key)) === undefined);
      return { applied: true, lease: leaseId, shown: gone };
    }
    return conflictOf(conditions, found, mirror);
  });
}

function toEtcd(
  transaction: Transaction,
  conditions: readonly Condition[],
  root: string,
  { request, leaseId }: { readonly request: string; readonly leaseId: string | undefined },
): EtcdTransaction {
  return {
    compare: conditions.map(({ key, revision }) => ({ key: root + keyText(key), revision })),
    put: transaction.put.map((put) => ({
      key: root + keyText(keyOf(put)),
      value: encodeRecord(put, request),
      lease: isLeased(put) ? leaseId : undefined,
    })),
    delete: transaction.delete.map((key) => root + keyText(key)),
  };
}

/** The transaction only deletes, and all that stands in its way is that these keys are gone. */
function isAlreadyDeleted(
  transaction: Transaction,
  conditions: readonly Condition[],
  found: ReadonlyMap<string, Entry>,
): boolean {
  if (transaction.put.length > 0) return false;
  const deleted = new Set(transaction.delete.map(keyText));
  return conditions.every(({ key, revision }) => {
    const now = found.get(keyText(key))?.revision ?? 0n;
    return now === revision || (now === 0n && deleted.has(keyText(key)));
  });
}

/** Names the first condition that does not hold; the mirror has caught up when it shows why. */
function conflictOf(conditions: readonly Condition[], found: ReadonlyMap<string, Entry>, mirror: Mirror): Decision {
  const failed = conditions.find(({ key, revision }) => (found.get(keyText(key))?.revision ?? 0n) !== revision);
  if (failed === undefined) throw new Error('etcd refused a transaction whose conditions hold');
  const text = keyText(failed.key);
  const now = found.get(text)?.revision;
  const what = failed.revision === 0n ? 'is taken' : now === undefined ? 'is gone' : 'has changed';
  return {
    applied: false,
    conflict: `${describeKey(failed.key)} ${what}`,
    shown: () => {
      const seen = mirror.entry(text)?.revision;
      return now === undefined ? seen !== failed.revision : seen !== undefined && seen >= now;
    },
  };
}

function isLeased(put: Put): boolean {
  return put.kind === 'session' || put.kind === 'replica';
}
