// The node behind a binding, and its interfaces, as elements of the vendor-private extension.
import { type Address, familyOf, type Prefix } from '#proto/model/address.ts';
import { parsePublicKeyBytes, type PublicKey, publicKeyBytes } from '#proto/model/key.ts';
import { parseNodeName } from '#proto/model/names.ts';
import type { NodeInterface, Rendezvous, Target } from '#proto/model/nhrp.ts';
import { type Milliseconds, milliseconds } from '#proto/model/time.ts';
import {
  readAddress,
  readBareAddress,
  readEndpoints,
  readNodeId,
  readPrefix,
  writeAddress,
  writeBareAddress,
  writeEndpoints,
  writeNodeId,
  writePrefix,
} from './address.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

const targetFlag = { nat: 1, address6: 2 } as const;
const kinds = { multipoint: 1, 'hub-tunnel': 2, probe: 3 } as const;
/** Milliseconds; those of the gRPC messages. */
const longestSpan = 60_000;

/** Node id, key, flags (1 NAT, 2 there is an IPv6 address), address, IPv6 address, name. Its prefixes and rendezvous follow. */
export function writeTarget(writer: Writer, target: Target): void {
  const { address6 } = target;
  writeNodeId(writer, target.node);
  writer.octets(publicKeyBytes(target.publicKey));
  writer.u8((target.nat ? targetFlag.nat : 0) | (address6 ? targetFlag.address6 : 0), 'flags');
  writeAddress(writer, target.address);
  if (address6 && familyOf(address6) !== 6) writer.fail(`${address6} is not an IPv6 address`);
  writeBareAddress(writer, address6);
  writer.octets(Uint8Array.from(target.name, (character) => character.charCodeAt(0)));
}

export function readTarget(reader: Reader): Target | undefined {
  const node = readNodeId(reader);
  const publicKey = readKey(reader);
  const flags = reader.u8();
  if ((flags & ~(targetFlag.nat | targetFlag.address6)) !== 0) reader.fail(`flags ${String(flags)}`);
  const address = readAddress(reader);
  const address6: Address | undefined = (flags & targetFlag.address6) === 0 ? undefined : readBareAddress(reader, 6);
  const name = reader.take(parseNodeName(Array.from(reader.rest(), (octet) => String.fromCharCode(octet)).join('')));
  if (node === undefined || publicKey === undefined || name === undefined) return undefined;
  const nat = (flags & targetFlag.nat) !== 0;
  return { node, name, address, address6, prefixes: [], publicKey, nat, rendezvous: undefined };
}

export function writePrefixes(writer: Writer, prefixes: readonly Prefix[]): void {
  for (const prefix of prefixes) writePrefix(writer, prefix);
}

export function readPrefixes(reader: Reader): readonly Prefix[] {
  const prefixes: Prefix[] = [];
  while (reader.left > 0) prefixes.push(readPrefix(reader));
  return prefixes;
}

/** When, how long a round is, and the endpoints. */
export function writeRendezvous(writer: Writer, rendezvous: Rendezvous): void {
  writeSpan(writer, rendezvous.startAfter, 0);
  writeSpan(writer, rendezvous.round, 1);
  writeEndpoints(writer, rendezvous.rounds);
}

export function readRendezvous(reader: Reader): Rendezvous {
  return { startAfter: readSpan(reader, 0), round: readSpan(reader, 1), rounds: readEndpoints(reader) };
}

/** The packet has whole milliseconds, as the gRPC messages. */
function writeSpan(writer: Writer, span: Milliseconds, least: number): void {
  const whole = Math.round(span);
  if (!isSpan(whole, least)) writer.fail(`${String(span)} ms are not ${String(least)} to ${String(longestSpan)}`);
  writer.u16(whole, 'milliseconds');
}

function readSpan(reader: Reader, least: number): Milliseconds {
  const { offset } = reader;
  const span = reader.u16();
  if (!isSpan(span, least))
    reader.fail(`${String(span)} ms are not ${String(least)} to ${String(longestSpan)}`, offset);
  return milliseconds(span);
}

function isSpan(whole: number, least: number): boolean {
  return whole >= least && whole <= longestSpan;
}

/** Kind (1 multipoint, 2 hub tunnel, 3 probe), key, the hub's node id for a hub tunnel, endpoints. */
export function writeInterface(writer: Writer, one: NodeInterface): void {
  if ((one.kind === 'hub-tunnel') !== (one.hub !== undefined)) {
    writer.fail('a hub tunnel names its hub, another interface none');
  }
  writer.u8(kinds[one.kind], 'kind');
  writer.octets(publicKeyBytes(one.publicKey));
  if (one.hub !== undefined) writeNodeId(writer, one.hub);
  writeEndpoints(writer, one.endpoints);
}

export function readInterface(reader: Reader): NodeInterface | undefined {
  const { offset } = reader;
  const number = reader.u8();
  const kind = (['multipoint', 'hub-tunnel', 'probe'] as const).find((one) => kinds[one] === number);
  if (kind === undefined) {
    reader.fail(`${String(number)} is not a kind of interface: 1 to 3`, offset);
    return undefined;
  }
  const publicKey = readKey(reader);
  const hub = kind === 'hub-tunnel' ? readNodeId(reader) : undefined;
  const endpoints = readEndpoints(reader);
  return publicKey && { kind, publicKey, hub, endpoints };
}

function readKey(reader: Reader): PublicKey | undefined {
  return reader.take(parsePublicKeyBytes(reader.octets(32)));
}
