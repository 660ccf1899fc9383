// Everything that an overlay has in etcd, read out and written in again. What goes with a lease of a running replica (sessions, the
// replicas themselves) is not part of it.
import type { Clock } from '#proto/kit/clock.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { after, milliseconds } from '#proto/model/time.ts';
import type { StoredRecord } from './backup-file.ts';
import { type Entry, type Etcd, EtcdError, type EtcdTransaction } from './etcd-port.ts';
import { overlayRoot, parseKeyText, toldRoot } from './keys.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';
import { retry } from './retry.ts';
import { withoutRevision } from './told.ts';

export interface StoreCopy {
  readonly revision: string;
  readonly records: readonly StoredRecord[];
  readonly told: readonly StoredRecord[];
}

/** What stands in etcd where a copy is to be written. */
export interface Found extends StoredRecord {
  readonly revision: bigint;
}

export interface CopyPorts {
  readonly etcd: Etcd;
  readonly overlay: string;
  readonly clock: Clock;
}

/** Milliseconds for one call with its repetitions. */
const callWithin = 10_000;
/** What etcd takes in one transaction: 128 operations, 1.5 MiB. */
const mostRecords = 100;
const mostOctets = 500_000;
/** Seconds for which what nodes were told is kept: the longest holding time there is, and some. */
const toldFor = 70_000;

const overlayKey = 'overlay';

/** All records are of one revision. Throws ProgramError. */
export async function readStore(ports: CopyPorts): Promise<StoreCopy> {
  const listing = await attempt(ports, () => ports.etcd.list(overlayRoot(ports.overlay)));
  const told = await attempt(ports, () => ports.etcd.list(toldRoot(ports.overlay)));
  return {
    revision: listing.revision.toString(),
    records: below(overlayRoot(ports.overlay), listing.entries).filter(({ key }) => !isLeased(key)),
    told: below(toldRoot(ports.overlay), told.entries),
  };
}

/** What is there now, of running replicas, too. Throws ProgramError. */
export async function findStore(ports: CopyPorts): Promise<readonly Found[]> {
  const listing = await attempt(ports, () => ports.etcd.list(overlayRoot(ports.overlay)));
  return below(overlayRoot(ports.overlay), listing.entries);
}

/**
 * The same for another etcd, which counts its revisions anew: an order to clear is about everything told before it, and what was told is
 * then older than it, and than every order that comes.
 */
export function forAnotherEtcd(records: readonly StoredRecord[]): StoredRecord[] {
  return records.map(({ key, value }) => {
    const parsed = parseKeyText(key);
    const put = parsed.ok && parsed.value.kind === 'clear' ? decodeRecord(parsed.value, value) : undefined;
    if (!put?.ok || put.value.kind !== 'clear') return { key, value };
    return { key, value: encodeRecord({ ...put.value, record: { ...put.value.record, after: 0 } }, 'restored') };
  });
}

/**
 * What has to be written so that the records are there; what an earlier attempt wrote is left. Faults: "running" (a replica serves from
 * it), "live" (other data is there). The overlay's own record alone is none: a registry that finds nothing writes it.
 */
export function missingRecords(found: readonly Found[], records: readonly StoredRecord[]): Result<StoredRecord[]> {
  const replicas = found.filter(({ key }) => isLeased(key));
  if (replicas.length > 0) {
    return fail('running', 'a registry runs on it, or did within the last 10 s: stop all replicas, and wait that long');
  }
  const wanted = new Map(records.map(({ key, value }) => [key, value]));
  const isFresh = found.every(({ key }) => key === overlayKey);
  const foreign = found.filter(({ key, value }) => wanted.get(key) !== value);
  if (foreign.length > 0 && !isFresh) {
    const [example] = foreign;
    return fail(
      'live',
      `it holds data that the backup does not have (${String(foreign.length)} records, such as ${example?.key ?? ''})`,
    );
  }
  const there = new Set(found.filter((each) => !foreign.includes(each)).map(({ key }) => key));
  return ok(records.filter(({ key }) => !there.has(key)));
}

/**
 * Writes the overlay's own record last: until it is there, a registry answers nobody. Throws ProgramError, also if somebody else wrote there
 * meanwhile.
 */
export async function writeRecords(
  ports: CopyPorts,
  found: readonly Found[],
  records: readonly StoredRecord[],
): Promise<void> {
  const root = overlayRoot(ports.overlay);
  const revisions = new Map(found.map(({ key, revision }) => [key, revision]));
  const body = records.filter(({ key }) => key !== overlayKey);
  const parts = [...portions(body), records.filter(({ key }) => key === overlayKey)].filter(({ length }) => length > 0);
  for (const part of parts) {
    const outcome = await attempt(ports, (again) =>
      write(ports.etcd, again, {
        compare: part.map(({ key }) => ({ key: root + key, revision: revisions.get(key) ?? 0n })),
        put: part.map(({ key, value }) => ({ key: root + key, value, lease: undefined })),
        delete: [],
      }),
    );
    if (!outcome)
      throw new ProgramError(
        'somebody else wrote to etcd meanwhile: see that no registry runs on it, and restore again',
      );
  }
}

/** Of what is left of its time; etcd keeps it somewhat longer than it needs. */
export async function writeTold(ports: CopyPorts, told: readonly StoredRecord[]): Promise<void> {
  const now = ports.clock.date();
  const kept = told.flatMap(({ key, value }) => {
    const remaining = withoutRevision(value, now);
    return remaining === undefined ? [] : [{ key, value: remaining }];
  });
  if (kept.length === 0) return;
  const lease = await attempt(ports, () => ports.etcd.grantLease(toldFor));
  for (const part of portions(kept)) {
    const put = part.map(({ key, value }) => ({ key: toldRoot(ports.overlay) + key, value, lease }));
    await attempt(ports, () => ports.etcd.transact({ compare: [], put, delete: [] }));
  }
}

/** Whether it was applied, now or by an attempt whose answer was lost. */
async function write(etcd: Etcd, again: boolean, transaction: EtcdTransaction): Promise<boolean> {
  const outcome = await etcd.transact(transaction);
  if (outcome.applied) return true;
  const found = new Map(outcome.found.map(({ key, value }) => [key, value]));
  return again && transaction.put.every(({ key, value }) => found.get(key) === value);
}

function* portions(records: readonly StoredRecord[]): Generator<StoredRecord[]> {
  let part: StoredRecord[] = [];
  let octets = 0;
  for (const record of records) {
    const size = record.key.length + Buffer.byteLength(record.value);
    if (part.length === mostRecords || (part.length > 0 && octets + size > mostOctets)) {
      yield part;
      part = [];
      octets = 0;
    }
    part.push(record);
    octets += size;
  }
  if (part.length > 0) yield part;
}

async function attempt<T>({ clock }: CopyPorts, call: (again: boolean) => Promise<T>): Promise<T> {
  try {
    return await retry(clock, after(clock.now(), milliseconds(callWithin)), call);
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    throw new ProgramError(`etcd: ${errorText(error)}`);
  }
}

function below(root: string, entries: readonly Entry[]): Found[] {
  return entries.map(({ key, value, revision }) => ({ key: key.slice(root.length), value, revision }));
}

function isLeased(key: string): boolean {
  return key.startsWith('sessions/') || key.startsWith('replicas/');
}
