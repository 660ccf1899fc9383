// Records to the text that etcd stores, and back. Every value is JSON with the record's version, the id of the request that
// wrote it, and the record. What cannot be read is a fault and never a default.
import * as z from 'zod';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { keyOf, keyText } from './keys.ts';
import type { Key, Put } from './port.ts';
import {
  bindingSchema,
  claimSchema,
  clearSchema,
  nodeSchema,
  overlaySchema,
  replicaSchema,
  revocationSchema,
  sessionSchema,
  tokenSchema,
} from './record-schema.ts';

const version = 1;

const envelope = z.object({ v: z.literal(version), request: z.string().optional(), record: z.unknown() });

/** `request` tells a writer that lost the answer whether its own transaction went through. */
export function encodeRecord(put: Put, request: string): string {
  const record = 'record' in put ? put.record : { node: put.node };
  return JSON.stringify({ v: version, request, record }, (_key, value: unknown) =>
    value === undefined ? null : value,
  );
}

/** Faults: "unknown-version" (a newer dmwg wrote it), "corrupt-record". */
export function decodeRecord(key: Key, value: string): Result<Put> {
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch {
    return fail('corrupt-record', `${keyText(key)} is not JSON`);
  }
  if (isObject(json) && typeof json['v'] === 'number' && json['v'] !== version) {
    return fail(
      'unknown-version',
      `${keyText(key)} has version ${String(json['v'])}; this program reads ${String(version)}`,
    );
  }
  const outer = envelope.safeParse(json);
  if (!outer.success) return fail('corrupt-record', `${keyText(key)}: ${explain(outer.error)}`);
  const put = readRecord(key, outer.data.record);
  if (put.ok && keyText(keyOf(put.value)) !== keyText(key)) {
    return fail('corrupt-record', `${keyText(key)} holds the record of ${keyText(keyOf(put.value))}`);
  }
  return put;
}

/** Which request wrote the value; undefined if that cannot be told. */
export function requestOf(value: string): string | undefined {
  try {
    const json: unknown = JSON.parse(value);
    return isObject(json) && typeof json['request'] === 'string' ? json['request'] : undefined;
  } catch {
    return undefined;
  }
}

function readRecord(key: Key, value: unknown): Result<Put> {
  switch (key.kind) {
    case 'overlay':
      return read(key, overlaySchema, value, (record) => ({ kind: 'overlay', record }));
    case 'node':
      return read(key, nodeSchema, value, (record) => ({ kind: 'node', record }));
    case 'binding':
      return read(key, bindingSchema, value, (record) => ({ kind: 'binding', record }));
    case 'token':
      return read(key, tokenSchema, value, (record) => ({ kind: 'token', record }));
    case 'revocation':
      return read(key, revocationSchema, value, (record) => ({ kind: 'revocation', record }));
    case 'clear':
      return read(key, clearSchema, value, (record) => ({ kind: 'clear', record }));
    case 'session':
      return read(key, sessionSchema, value, (record) => ({ kind: 'session', record }));
    case 'replica':
      return read(key, replicaSchema, value, (record) => ({ kind: 'replica', record }));
    case 'claim-name':
    case 'claim-address':
    case 'claim-prefix':
    case 'claim-key':
      return read(key, claimSchema, value, ({ node }) => ({ ...key, node }));
  }
}

function read<T>(key: Key, schema: z.ZodType<T>, value: unknown, build: (record: T) => Put): Result<Put> {
  const result = schema.safeParse(value);
  return result.success ? ok(build(result.data)) : fail('corrupt-record', `${keyText(key)}: ${explain(result.error)}`);
}

function explain(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
