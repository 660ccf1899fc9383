// The fixed header, RFC 2332 5.1.
import type { Family } from '#proto/model/address.ts';
import { errorCode, type NhrpBody } from '#proto/model/nhrp.ts';
import { ok, type Result } from '#proto/model/result.ts';
import { addressOctets } from './address.ts';
import { internetChecksum } from './checksum.ts';
import { failAt, type PacketFault } from './fault.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

export type NhrpType = NhrpBody['type'];

/** In the order of ar$op.type, from 1. 8 is Cisco's, draft-detienne-dmvpn section 4. */
const types: readonly NhrpType[] = [
  'resolution-request',
  'resolution-reply',
  'registration-request',
  'registration-reply',
  'purge-request',
  'purge-reply',
  'error-indication',
  'traffic-indication',
];

/** ar$op.type. */
export function typeNumber(type: NhrpType): number {
  return types.indexOf(type) + 1;
}

/** What the addresses of a packet are: each number is said once, for all of its fields. */
export interface Families {
  readonly nbma: Family;
  readonly protocol: Family;
}

export interface FixedHeader extends Families {
  readonly type: NhrpType;
  readonly hopCount: number;
  /** Octets of the whole packet. */
  readonly size: number;
  /** Octets before the extensions; 0 = there are none. */
  readonly extensionOffset: number;
  /** Octets of the source NBMA address: those of its family, or 0. */
  readonly nbmaLength: number;
}

export const headerOctets = 20;
const version = 1;
/** IANA address family numbers. */
const familyNumbers = { 4: 1, 6: 2 } as const;
const etherTypes = { 4: 0x0800, 6: 0x86dd } as const;
const at = { family: 0, protocol: 2, size: 10, checksum: 12, extensions: 14, version: 16, type: 17, nbmaLength: 18 };

/** The checksum is 0: `seal` sets it when the packet is complete. */
export function writeHeader(header: FixedHeader): Writer {
  const writer = new Writer();
  writer.u16(familyNumbers[header.nbma], 'ar$afn');
  writer.u16(etherTypes[header.protocol], 'ar$pro.type');
  writer.octets(new Uint8Array(5));
  writer.u8(header.hopCount, 'hop count');
  if (header.size > 0xffff) {
    writer.fail(`the packet has ${String(header.size)} octets; its size field holds 65535`, errorCode.sduTooBig);
  } else writer.u16(header.size, 'ar$pktsz');
  writer.u16(0, 'ar$chksum');
  writer.u16(header.extensionOffset & 0xffff, 'ar$extoff');
  writer.u8(version, 'ar$op.version');
  writer.u8(typeNumber(header.type), 'ar$op.type');
  writer.u8(header.nbmaLength, 'ar$shtl');
  writer.u8(0, 'ar$sstl');
  return writer;
}

export function seal(packet: Uint8Array): Uint8Array {
  const sealed = packet.slice();
  new DataView(sealed.buffer).setUint16(at.checksum, internetChecksum(packet));
  return sealed;
}

/** Whether the packet says that it is an Error Indication: no error is indicated about one (RFC 2332 5.2.7). */
export function isErrorIndication(bytes: Uint8Array): boolean {
  return bytes[at.type] === typeNumber('error-indication');
}

/** Octets after ar$pktsz are the link's padding. What is not used, is not looked at: the SNAP form. */
export function readHeader(bytes: Uint8Array): Result<FixedHeader, PacketFault> {
  const bad = (offset: number, message: string) => failAt(errorCode.protocolError, offset, message);
  if (bytes.length < headerOctets) return bad(bytes.length, 'the fixed header has 20 octets');
  const reader = new Reader(bytes);
  const family = reader.u16();
  const etherType = reader.u16();
  reader.octets(5);
  const hopCount = reader.u8();
  const size = reader.u16();
  reader.u16();
  const extensionOffset = reader.u16();
  const itsVersion = reader.u8();
  const type = types[reader.u8() - 1];
  const nbmaLength = reader.u8();
  const subLength = reader.u8();
  if (itsVersion !== version) return bad(at.version, `version ${String(itsVersion)} is not 1`);
  if (size < headerOctets || size > bytes.length) {
    return bad(at.size, `a size of ${String(size)} does not fit ${String(bytes.length)} octets`);
  }
  if (internetChecksum(bytes.subarray(0, size)) !== 0) return bad(at.checksum, 'the checksum is wrong');
  if (type === undefined) return bad(at.type, `${String(bytes[at.type])} is not a packet type: 1 to 8`);
  const nbma = family === familyNumbers[4] ? 4 : family === familyNumbers[6] ? 6 : undefined;
  if (!nbma) return bad(at.family, `${String(family)} is not an address family: 1 or 2`);
  const protocol = etherType === etherTypes[4] ? 4 : etherType === etherTypes[6] ? 6 : undefined;
  if (!protocol) return bad(at.protocol, `0x${etherType.toString(16)} is not a protocol: 0x800 or 0x86dd`);
  if (nbmaLength !== 0 && nbmaLength !== addressOctets(nbma)) {
    return bad(at.nbmaLength, `ar$shtl ${String(nbmaLength)} is not that of the address family`);
  }
  if (subLength !== 0) return bad(at.nbmaLength + 1, 'IP addresses have no subaddress');
  if (extensionOffset !== 0 && (extensionOffset < headerOctets || extensionOffset > size)) {
    return bad(at.extensions, `extensions at ${String(extensionOffset)} are not in the packet`);
  }
  return ok({ nbma, protocol, type, hopCount, size, extensionOffset, nbmaLength });
}
