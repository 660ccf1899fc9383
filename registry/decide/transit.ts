// What next hop servers write into the extensions of messages that pass them or end at them (RFC 2332 5.3).
import {
  type Address,
  addressBits,
  addressValue,
  type Family,
  familyOf,
  formatAddress,
  networkOf,
} from '#proto/model/address.ts';
import { errorCode, type Extension, type NhrpBody, type NhrpMessage } from '#proto/model/nhrp.ts';
import type { OverlayRecord, ReplicaRecord } from './records.ts';

/** The extensions that a next hop server knows. */
export const transitExtension = { responderAddress: 3, forwardRecord: 4, reverseRecord: 5 } as const;

/**
 * One replica of the registry, as extensions name it: by an address of the protocol that the message is about. Nobody sends to
 * it; it is made from the id of the replica.
 */
export type Server = Readonly<Record<Family, Address>>;

const known: ReadonlySet<number> = new Set(Object.values(transitExtension));
/** Those that a message may hold once at most; authentication data is not ours to check, but may not be ambiguous (5.3). */
const single: ReadonlySet<number> = new Set([...known, 7]);
/** Octets of a CIE before its addresses. */
const fixedOctets = 12;

/** Every message asks for them. */
const servers = new WeakMap<Pick<OverlayRecord, 'linkPrefix'>, Map<string, Server>>();

/** In 240.0.0.0/4, which is nobody's, and in the overlay's link prefix. */
export function serverOf(overlay: Pick<OverlayRecord, 'linkPrefix'>, { id }: Pick<ReplicaRecord, 'id'>): Server {
  const own = servers.get(overlay) ?? new Map<string, Server>();
  servers.set(overlay, own);
  const known = own.get(id);
  if (known) return known;
  const bits = hash(id);
  const server = {
    4: formatAddress(4, 0xf0000000n | BigInt.asUintN(28, bits)),
    6: formatAddress(6, addressValue(networkOf(overlay.linkPrefix)) | bits),
  };
  own.set(id, server);
  return server;
}

/**
 * The error that the extensions of a request deserve of who answers it: 1 compulsory and unknown, 9 a record that is none or an
 * extension that is there twice, 3 a record of this server: the request was here before.
 */
export function extensionError({ extensions }: NhrpMessage, self: Server | undefined): number | undefined {
  if (extensions.some((one) => one.compulsory && !known.has(one.type))) return errorCode.unrecognisedExtension;
  const types = extensions.map(({ type }) => type).filter((type) => single.has(type));
  if (new Set(types).size < types.length) return errorCode.invalidExtension;
  for (const one of extensions) {
    if (one.type !== transitExtension.forwardRecord && one.type !== transitExtension.reverseRecord) continue;
    const passed = readRecords(one.value);
    if (!passed) return errorCode.invalidExtension;
    if (self && (passed.includes(self[4]) || passed.includes(self[6]))) return errorCode.loop;
  }
  return undefined;
}

/** An answer with the name of who gave it, where the request asked for that (5.3.1). Records stay as they are (5.3.2). */
export function signed<B extends NhrpBody>(reply: NhrpMessage<B>, self: Server | undefined): NhrpMessage<B> {
  if (!self || reply.extensions.length === 0 || reply.body.type === 'error-indication') return reply;
  const extensions = reply.extensions.map((one) =>
    one.type === transitExtension.responderAddress ? { ...one, value: record(self, reply) } : one,
  );
  return { ...reply, extensions };
}

/**
 * A message as it goes on to another server or to its node: one hop less, and this server in the forward transit record if there
 * is one (5.3.2). With an unknown compulsory extension it goes on without a record (5.3). An error code: it must not go on.
 */
export function relayed<B extends NhrpBody>(
  message: NhrpMessage<B>,
  self: Server | undefined,
): NhrpMessage<B> | typeof errorCode.hopCountExceeded | typeof errorCode.loop {
  if (message.hopCount < 1) return errorCode.hopCountExceeded;
  const error = extensionError(message, self);
  if (error === errorCode.loop) return errorCode.loop;
  const onward = { ...message, hopCount: message.hopCount - 1 };
  if (!self || error !== undefined) return onward;
  const extensions = message.extensions.map(
    (one): Extension =>
      one.type === transitExtension.forwardRecord ? { ...one, value: joined(one.value, record(self, message)) } : one,
  );
  return { ...onward, extensions };
}

/** The addresses in a transit record; undefined if it is none. */
export function readRecords(octets: Uint8Array): Address[] | undefined {
  const found: Address[] = [];
  for (let at = 0; at < octets.length; ) {
    const nbma = (octets[at + 8] ?? 0) & 0x3f;
    const sub = (octets[at + 9] ?? 0) & 0x3f;
    const length = octets[at + 10] ?? 0;
    const start = at + fixedOctets + nbma + sub;
    at = start + length;
    if (at > octets.length || (length !== 4 && length !== 16)) return undefined;
    let value = 0n;
    for (const octet of octets.subarray(start, at)) value = (value << 8n) | BigInt(octet);
    found.push(formatAddress(length === 4 ? 4 : 6, value));
  }
  return found;
}

/** The server as a CIE (5.2.0.1) with the prefix length 0 (5.3.1), without an NBMA address: it has no tunnel. */
function record(self: Server, { destination }: NhrpMessage): Uint8Array {
  const own = octetsOf(self[familyOf(destination)]);
  return joined(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, own.length, 0]), own);
}

function octetsOf(address: Address): Uint8Array {
  const octets = new Uint8Array(addressBits(familyOf(address)) / 8);
  let value = addressValue(address);
  for (let at = octets.length - 1; at >= 0; at--, value >>= 8n) octets[at] = Number(value & 0xffn);
  return octets;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** FNV-1a, 64 bits: ids are random already. */
function hash(text: string): bigint {
  let value = 0xcbf29ce484222325n;
  for (let at = 0; at < text.length; at++)
    value = BigInt.asUintN(64, (value ^ BigInt(text.charCodeAt(at))) * 0x100000001b3n);

  return value;
}
