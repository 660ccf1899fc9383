// A backup as a file: lines of JSON. The first says what it is, the last has the checksum of all before it; in between are the files
// of the state dir, and what etcd has under the overlay's keys, each value as it is stored.
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { Secret } from '#proto/kit/secret.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Timestamp } from '#proto/model/time.ts';

export interface StateFile {
  /** Relative to the state dir. */
  readonly name: string;
  readonly content: Secret;
}

export interface StoredRecord {
  /** Below the root of its kind. */
  readonly key: string;
  readonly value: string;
}

export interface Backup {
  readonly overlay: string;
  readonly takenAt: Timestamp;
  /** Of etcd: all records are as they were then. */
  readonly revision: string;
  /** Version of the program that made it. */
  readonly madeBy: string;
  readonly files: readonly StateFile[];
  readonly records: readonly StoredRecord[];
  /** What nodes were told. */
  readonly told: readonly StoredRecord[];
}

const format = 'dmwg-backup';
const version = 1;

const head = z.object({
  overlay: z.string().min(1),
  takenAt: z.number().transform((value) => value as Timestamp),
  revision: z.string(),
  madeBy: z.string(),
});
const last = z.object({ sha256: z.string() });
const line = z.union([
  z.object({ file: z.string().regex(/^(?!.*\.\.)[\w.-]+(\/[\w.-]+)*$/), content: z.string() }),
  z.object({ record: z.string(), value: z.string() }),
  z.object({ told: z.string(), value: z.string() }),
]);

export function formatBackup({ files, records, told, ...rest }: Backup): Secret<Buffer> {
  const values = [
    { format, version, ...rest },
    ...files.map(({ name, content }) => ({ file: name, content: content.reveal() })),
    ...records.map(({ key, value }) => ({ record: key, value })),
    ...told.map(({ key, value }) => ({ told: key, value })),
  ];
  const body = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
  return new Secret(Buffer.concat([body, Buffer.from(`${JSON.stringify({ sha256: checksum(body) })}\n`)]));
}

/** Faults: "not-a-backup", "unknown-version" (a newer dmwg made it), "damaged". */
export function parseBackup(content: Buffer): Result<Backup> {
  const lines = content.toString().split('\n');
  const first = parseJson(lines[0]);
  if (!isObject(first) || first['format'] !== format) return fail('not-a-backup', 'is not a backup of dmwg');
  if (first['version'] !== version) {
    const found = JSON.stringify(first['version']);
    return fail(
      'unknown-version',
      `has version ${found}; this program reads ${String(version)}: use the one that made it`,
    );
  }
  const end = last.safeParse(parseJson(lines.at(-2)));
  const body = content.subarray(0, content.lastIndexOf('\n', content.length - 2) + 1);
  if (lines.at(-1) !== '' || !end.success) return fail('damaged', 'is cut off: its last line is not the checksum');
  if (end.data.sha256 !== checksum(body)) return fail('damaged', 'is damaged: its checksum is another one');
  const start = head.safeParse(first);
  const rest = lines.slice(1, -2).map((text) => line.safeParse(parseJson(text)));
  if (!start.success || rest.some((each) => !each.success)) return fail('damaged', 'has a line that cannot be read');
  const parts = rest.flatMap((each) => (each.success ? [each.data] : []));
  return ok({
    ...start.data,
    files: parts.flatMap((each) => ('file' in each ? [{ name: each.file, content: new Secret(each.content) }] : [])),
    records: parts.flatMap((each) => ('record' in each ? [{ key: each.record, value: each.value }] : [])),
    told: parts.flatMap((each) => ('told' in each ? [{ key: each.told, value: each.value }] : [])),
  });
}

function checksum(body: Buffer): string {
  return createHash('sha256').update(body).digest('hex');
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '') as unknown;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
