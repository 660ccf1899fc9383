// The extensions part, RFC 2332 5.3: type, length, value, and one of type 0 at the end. And what the known ones say.
import { errorCode, type Extension } from '#proto/model/nhrp.ts';
import { ok, type Result } from '#proto/model/result.ts';
import { isPrefixLength, type PlainCie, readCies, writeCie } from './cie.ts';
import type { PacketFault } from './fault.ts';
import type { Families } from './header.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/** RFC 2332 5.3; 9 is Cisco's for addresses before NAT (and the device capabilities of RFC 2735, which have 8 octets). */
export const extensionType = {
  end: 0,
  responderAddress: 3,
  forwardTransit: 4,
  reverseTransit: 5,
  authentication: 7,
  vendorPrivate: 8,
  natAddress: 9,
} as const;

export type KnownExtension =
  /** 5.3.1: empty in a request, one entry in the reply. */
  | { readonly kind: 'responder-address'; readonly cies: readonly PlainCie[] }
  /** 5.3.2 and 5.3.3: the servers on the way. */
  | { readonly kind: 'forward-transit' | 'reverse-transit'; readonly cies: readonly PlainCie[] }
  | { readonly kind: 'nat-address'; readonly cies: readonly PlainCie[] }
  /** 5.3.4 as Cisco sends it: SPI 1, and 1 to 8 printable characters where the RFC has an address and a digest. */
  | { readonly kind: 'plain-text'; readonly text: string }
  /** 5.3.4: the security parameter index, and what follows it. */
  | { readonly kind: 'authentication'; readonly spi: number; readonly data: Uint8Array }
  /** 5.3.5: the vendor's 24-bit id, and what follows it. */
  | { readonly kind: 'vendor-private'; readonly vendor: number; readonly data: Uint8Array }
  | { readonly kind: 'other' };

/** An extension, and where it starts in the packet. */
export interface PlacedExtension {
  readonly extension: Extension;
  readonly offset: number;
}

const compulsoryBit = 0x8000;
const typeBits = 0x3fff;
const plainTextSpi = 1;

/** With the one that ends them. Each must be readable again. */
export function writeExtensions(writer: Writer, extensions: readonly Extension[], families: Families): void {
  for (const extension of extensions) {
    const { type, compulsory, value } = extension;
    if (!Number.isInteger(type) || type <= extensionType.end || type > typeBits) {
      writer.fail(`extension: ${String(type)} is not a type: 1 to 16383`, errorCode.invalidExtension);
    }
    const known = readExtension(extension, families);
    if (!known.ok) writer.fail(`extension ${String(type)}: ${known.fault.message}`, errorCode.invalidExtension);
    writer.u16((compulsory ? compulsoryBit : 0) | (type & typeBits), 'extension type');
    writer.counted('extension', (inner) => {
      inner.octets(value);
    });
  }
  // RFC 2332 5.3.0: compulsory, without a value.
  writer.u16(compulsoryBit | extensionType.end, 'extension type');
  writer.u16(0, 'extension length');
}

/** All up to the end, which must be there and be the end. */
export function readExtensions(reader: Reader, families: Families): readonly PlacedExtension[] {
  const extensions: PlacedExtension[] = [];
  while (reader.left > 0) {
    const { offset } = reader;
    const first = reader.u16();
    const type = first & typeBits;
    const value = reader.octets(reader.u16());
    if (type === extensionType.end) {
      if (value.length > 0) reader.fail('the last extension has a value', offset);
      if (reader.left > 0) reader.fail('something follows the last extension');
      return extensions;
    }
    const extension = { type, compulsory: (first & compulsoryBit) !== 0, value };
    const known = readExtension(extension, families, offset + 4);
    if (!known.ok) reader.fail(known.fault.message, known.fault.offset);
    extensions.push({ extension, offset });
  }
  reader.fail('the extensions have no end');
  return extensions;
}

/** `offset` is that of its value in the packet. */
export function readExtension(
  extension: Extension,
  families: Families,
  offset = 0,
): Result<KnownExtension, PacketFault> {
  const reader = new Reader(extension.value, offset, errorCode.invalidExtension);
  const known = readKnown(reader, extension, families);
  return reader.result(known);
}

function readKnown(reader: Reader, { type, value }: Extension, families: Families): KnownExtension {
  switch (type) {
    case extensionType.responderAddress: {
      const { offset } = reader;
      const cies = readEntries(reader, families);
      if (cies.length > 1) reader.fail('there is one responder', offset);
      return { kind: 'responder-address', cies };
    }
    case extensionType.forwardTransit:
      return { kind: 'forward-transit', cies: readEntries(reader, families) };
    case extensionType.reverseTransit:
      return { kind: 'reverse-transit', cies: readEntries(reader, families) };
    case extensionType.natAddress:
      return value.length === 8 ? { kind: 'other' } : { kind: 'nat-address', cies: readEntries(reader, families) };
    case extensionType.authentication:
      return readAuthentication(reader);
    case extensionType.vendorPrivate:
      return { kind: 'vendor-private', vendor: (reader.u8() << 16) | reader.u16(), data: reader.rest() };
    default:
      return { kind: 'other' };
  }
}

function readEntries(reader: Reader, families: Families): readonly PlainCie[] {
  const { offset } = reader;
  const cies = readCies(reader, families);
  const bad = cies.find((cie) => !isPrefixLength(cie.prefixLength, cie.protocolAddress));
  if (bad) reader.fail(`a prefix length of ${String(bad.prefixLength)}`, offset);
  return cies;
}

function readAuthentication(reader: Reader): KnownExtension {
  reader.u16();
  const spi = reader.u16();
  const data = reader.rest();
  const text = String.fromCharCode(...data.subarray(0, 9));
  return spi === plainTextSpi && isPlainText(text)
    ? { kind: 'plain-text', text }
    : { kind: 'authentication', spi, data };
}

function isPlainText(text: string): boolean {
  return /^[\x20-\x7e]{1,8}$/.test(text);
}

/** The extension that says so, with the compulsory bit that its section gives it. */
export function writeExtension(known: Exclude<KnownExtension, { kind: 'other' }>): Result<Extension, PacketFault> {
  const writer = new Writer();
  const type = writeKnown(writer, known);
  const value = writer.result();
  if (!value.ok) return value;
  const compulsory = type !== extensionType.vendorPrivate && type !== extensionType.natAddress;
  return ok({ type, compulsory, value: value.value });
}

function writeKnown(writer: Writer, known: Exclude<KnownExtension, { kind: 'other' }>): number {
  switch (known.kind) {
    case 'responder-address':
      return writeEntries(writer, known.cies, extensionType.responderAddress);
    case 'forward-transit':
      return writeEntries(writer, known.cies, extensionType.forwardTransit);
    case 'reverse-transit':
      return writeEntries(writer, known.cies, extensionType.reverseTransit);
    case 'nat-address':
      return writeEntries(writer, known.cies, extensionType.natAddress);
    case 'plain-text': {
      if (!isPlainText(known.text)) writer.fail('a plain text secret has 1 to 8 printable characters');
      writer.u32(plainTextSpi, 'SPI');
      writer.octets(Uint8Array.from(known.text, (character) => character.charCodeAt(0)));
      return extensionType.authentication;
    }
    case 'authentication': {
      writer.u16(0, 'reserved');
      writer.u16(known.spi, 'SPI');
      writer.octets(known.data);
      return extensionType.authentication;
    }
    case 'vendor-private': {
      writer.u8(known.vendor >>> 16, 'vendor');
      writer.u16(known.vendor & 0xffff, 'vendor');
      writer.octets(known.data);
      return extensionType.vendorPrivate;
    }
  }
}

function writeEntries(writer: Writer, cies: readonly PlainCie[], type: number): number {
  for (const cie of cies) writeCie(writer, cie);
  return type;
}
