// The text that a person hands to `dmwg join`: where the registry is, how to know it, and the right to enrol.
import { createHash } from 'node:crypto';
import { Secret } from '#proto/kit/secret.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { list } from './fields.ts';
import { canonicalHostPort } from './host-port.ts';

export interface JoinToken {
  /** host:port */
  readonly registry: readonly string[];
  /** SHA-256 of the CA certificate's DER, hexadecimal. */
  readonly caPin: string;
  readonly id: string;
  readonly secret: Secret<Uint8Array>;
}

const start = 'dmwg1.';
const checksumOctets = 4;
const pinOctets = 32;
const damaged = fail(
  'damaged-token',
  'the join token is incomplete or damaged: copy the whole of it, from "dmwg1." to its end',
);

/** `dmwg1.` and base64url of checksum, pin, and then id, secret and registries with their lengths. */
export function formatJoinToken(token: JoinToken): Secret {
  const parts = [Buffer.from(token.id), Buffer.from(token.secret.reveal()), Buffer.from(token.registry.join(','))];
  const sized = parts.flatMap((part) => [Buffer.from([part.length >> 8, part.length & 0xff]), part]);
  const content = Buffer.concat([Buffer.from(token.caPin, 'hex'), ...sized]);
  return new Secret(start + Buffer.concat([checksum(content), content]).toString('base64url'));
}

/** White space in it, as a terminal's line break leaves it, is ignored. No fault repeats the text: it is a secret. */
export function parseJoinToken(text: string): Result<JoinToken> {
  const packed = text.length > 8192 ? '' : text.replace(/\s+/g, '');
  if (!packed.startsWith(start)) {
    return /^dmwg\d+\./.test(packed)
      ? fail('bad-token', 'the join token was made by a newer dmwg: install that version here')
      : fail('bad-token', 'this is not a join token: it starts with "dmwg1." and `dmwg token create` prints it');
  }
  const body = packed.slice(start.length);
  if (!/^[A-Za-z0-9_-]+$/.test(body)) return damaged;
  const bytes = Buffer.from(body, 'base64url');
  const content = bytes.subarray(checksumOctets);
  if (content.length < pinOctets || !checksum(content).equals(bytes.subarray(0, checksumOctets))) return damaged;
  const [id, secret, registries] = split(content.subarray(pinOctets));
  if (!id || !secret || !registries || !/^[0-9a-z-]{1,64}$/.test(id.toString())) return damaged;
  const registry = list(registries.toString().split(','), 32, canonicalHostPort);
  if (!registry.ok) return damaged;
  const caPin = content.subarray(0, pinOctets).toString('hex');
  return ok({ registry: registry.value, caPin, id: id.toString(), secret: new Secret(new Uint8Array(secret)) });
}

/** Against truncation and typing errors, not against forgery. */
function checksum(content: Uint8Array): Buffer {
  return createHash('sha256').update(start).update(content).digest().subarray(0, checksumOctets);
}

function split(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let rest = bytes;
  while (rest.length >= 2) {
    const size = rest.readUInt16BE(0);
    if (rest.length < 2 + size) return [];
    parts.push(rest.subarray(2, 2 + size));
    rest = rest.subarray(2 + size);
  }
  return rest.length === 0 ? parts : [];
}
