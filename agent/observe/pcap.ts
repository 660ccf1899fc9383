// A pcap stream of NFLOG messages as values: the capture file format of libpcap (draft-ietf-opsawg-pcap) with link type
// LINKTYPE_NFLOG. Pure; never throws: a stream that makes no sense is a Fault.
import { type Address, formatAddress } from '#proto/model/address.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';

export interface PcapRecord {
  readonly data: Uint8Array;
  /** Of the machine that captured: NFLOG's own fields have it too. */
  readonly littleEndian: boolean;
}

/** The ends of an IP packet that the kernel logged. */
export interface LoggedPacket {
  readonly source: Address;
  readonly destination: Address;
  /** The first bytes of the packet, from its IP header on. */
  readonly head: Uint8Array;
}

const fileHeaderLength = 24;
const recordHeaderLength = 16;
const linkTypeNflog = 239;
const largestRecord = 0x40000;
const payloadAttribute = 9;
/** Microseconds and nanoseconds: the time stamps are not used. */
const magics: ReadonlySet<number> = new Set([0xa1b2c3d4, 0xa1b23c4d]);

/** Takes a stream in pieces as they come. After a fault every further push gives that fault: begin a new stream. */
export class PcapReader {
  #rest: Uint8Array = new Uint8Array(0);
  #littleEndian: boolean | undefined;
  #fault: Result<never> | undefined;

  /** The records that this piece completes. The data of a record is valid for as long as its receiver keeps it. */
  push(piece: Uint8Array): Result<PcapRecord[]> {
    if (this.#fault) return this.#fault;
    const result = this.#read(this.#rest.length === 0 ? piece : joined(this.#rest, piece));
    if (!result.ok) this.#fault = result;
    return result;
  }

  #read(bytes: Uint8Array): Result<PcapRecord[]> {
    const view = viewOf(bytes);
    const records: PcapRecord[] = [];
    let at = 0;
    if (this.#littleEndian === undefined) {
      if (bytes.length < fileHeaderLength) return this.#keep(bytes, at, records);
      const order = byteOrder(view);
      if (!order.ok) return order;
      this.#littleEndian = order.value;
      at = fileHeaderLength;
    }
    const littleEndian = this.#littleEndian;
    while (bytes.length - at >= recordHeaderLength) {
      const length = view.getUint32(at + 8, littleEndian);
      if (length > largestRecord) return fail('pcap-record', `a record of ${String(length)} bytes is too large`);
      const end = at + recordHeaderLength + length;
      if (end > bytes.length) break;
      records.push({ data: bytes.slice(at + recordHeaderLength, end), littleEndian });
      at = end;
    }
    return this.#keep(bytes, at, records);
  }

  #keep(bytes: Uint8Array, from: number, records: PcapRecord[]): Result<PcapRecord[]> {
    this.#rest = bytes.slice(from);
    return ok(records);
  }
}

/** The IP packet in an NFLOG record: four bytes of header, then attributes of length, type and value, padded to four. */
export function loggedPacket(record: PcapRecord): Result<LoggedPacket> {
  const { data, littleEndian } = record;
  const view = viewOf(data);
  if (data.length < 4) return fail('nflog-short', 'an NFLOG record has fewer than four bytes');
  if (view.getUint8(1) !== 0) return fail('nflog-version', 'an NFLOG record is not of version 0');
  let at = 4;
  while (data.length - at >= 4) {
    const length = view.getUint16(at, littleEndian);
    if (length < 4) return fail('nflog-attribute', 'an NFLOG attribute is shorter than its own header');
    // The capture may have cut the last attribute.
    if (view.getUint16(at + 2, littleEndian) === payloadAttribute) return packetEnds(data.slice(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return fail('nflog-no-payload', 'an NFLOG record has no packet in it');
}

function packetEnds(head: Uint8Array): Result<LoggedPacket> {
  const version = (head[0] ?? 0) >> 4;
  if (version === 4 && head.length >= 20) {
    return ok({
      source: formatAddress(4, bigEndian(head.subarray(12, 16))),
      destination: formatAddress(4, bigEndian(head.subarray(16, 20))),
      head,
    });
  }
  if (version === 6 && head.length >= 40) {
    return ok({
      source: formatAddress(6, bigEndian(head.subarray(8, 24))),
      destination: formatAddress(6, bigEndian(head.subarray(24, 40))),
      head,
    });
  }
  return fail('nflog-not-ip', 'a logged packet has no whole IPv4 or IPv6 header');
}

/** Whether the file is little-endian. */
function byteOrder(view: DataView): Result<boolean> {
  const little = magics.has(view.getUint32(0, true));
  if (!little && !magics.has(view.getUint32(0, false))) return fail('pcap-magic', 'this is no pcap stream');
  const major = view.getUint16(4, little);
  if (major !== 2) return fail('pcap-version', `pcap version ${String(major)} is not 2`);
  // The upper bits tell of frame check sequences.
  const linkType = view.getUint32(20, little) & 0xffff;
  if (linkType !== linkTypeNflog) return fail('pcap-link-type', `link type ${String(linkType)} is not NFLOG`);
  return ok(little);
}

function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
