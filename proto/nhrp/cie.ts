// The client information entry, RFC 2332 5.2.0.1, as a packet has it: one NBMA address without port.
import { type Address, addressBits, familyOf } from '#proto/model/address.ts';
import { uniquePrefixLength } from '#proto/model/nhrp.ts';
import { type Seconds, seconds } from '#proto/model/time.ts';
import { addressOctets, readBareAddress, writeBareAddress } from './address.ts';
import type { Families } from './header.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface PlainCie {
  readonly code: number;
  /** Bits, or 0xFF for exactly one address. */
  readonly prefixLength: number;
  /** Octets; 0 is unspecified. */
  readonly mtu: number;
  readonly holdingTime: Seconds;
  readonly nbma: Address | undefined;
  readonly protocolAddress: Address | undefined;
  /** 255 best, 0 unspecified. */
  readonly preference: number;
}

export function writeCie(writer: Writer, cie: PlainCie): void {
  writer.u8(cie.code, 'code');
  writer.u8(cie.prefixLength === 0 ? uniquePrefixLength : cie.prefixLength, 'prefix length');
  writer.u16(0, 'unused');
  writer.u16(cie.mtu, 'MTU');
  writer.u16(cie.holdingTime, 'holding time');
  writer.u8(lengthOf(cie.nbma), 'NBMA length');
  writer.u8(0, 'NBMA subaddress length');
  writer.u8(lengthOf(cie.protocolAddress), 'protocol address length');
  writer.u8(cie.preference, 'preference');
  writeBareAddress(writer, cie.nbma);
  writeBareAddress(writer, cie.protocolAddress);
}

export function readCie(reader: Reader, families: Families): PlainCie {
  const { offset } = reader;
  const code = reader.u8();
  const prefixLength = reader.u8();
  reader.u16();
  const mtu = reader.u16();
  const holdingTime = seconds(reader.u16());
  const nbmaLength = reader.u8();
  const subLength = reader.u8();
  const protocolLength = reader.u8();
  const preference = reader.u8();
  if (nbmaLength !== 0 && nbmaLength !== addressOctets(families.nbma)) {
    reader.fail(`an NBMA length of ${String(nbmaLength)} is not that of the address family`, offset + 8);
  }
  if (subLength !== 0) reader.fail('IP addresses have no subaddress', offset + 9);
  if (protocolLength !== 0 && protocolLength !== addressOctets(families.protocol)) {
    reader.fail(`a protocol address length of ${String(protocolLength)} is not that of the protocol`, offset + 10);
  }
  return {
    code,
    prefixLength: prefixLength === 0 ? uniquePrefixLength : prefixLength,
    mtu,
    holdingTime,
    nbma: nbmaLength === 0 ? undefined : readBareAddress(reader, families.nbma),
    protocolAddress: protocolLength === 0 ? undefined : readBareAddress(reader, families.protocol),
    preference,
  };
}

/** As many as are left. */
export function readCies(reader: Reader, families: Families): readonly PlainCie[] {
  const cies: PlainCie[] = [];
  while (reader.left > 0) cies.push(readCie(reader, families));
  return cies;
}

/** A length is 1 to the bits of the address that it is about, or 0xFF; without an address, any that some address has. */
export function isPrefixLength(length: number, address: Address | undefined): boolean {
  return length === uniquePrefixLength || (length >= 1 && length <= addressBits(address ? familyOf(address) : 6));
}

function lengthOf(address: Address | undefined): number {
  return address === undefined ? 0 : addressOctets(familyOf(address));
}
