// The mandatory part, RFC 2332 5.2: what all types have, then CIEs or the packet that an indication is about.
import { type Address, familyOf } from '#proto/model/address.ts';
import { addressOctets, readBareAddress, writeBareAddress } from './address.ts';
import { type PlainCie, readCies, writeCie } from './cie.ts';
import type { Families, FixedHeader, NhrpType } from './header.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** What a packet can say without extensions: addresses of one family, without ports. */
export interface MandatoryPart {
  readonly sourceNbma: Address | undefined;
  /** Undefined if it is of another family than the destination: the vendor-private extension has it. */
  readonly source: Address | undefined;
  readonly destination: Address;
  /** 0 in an indication. */
  readonly flags: number;
  /** 0 in an indication. */
  readonly requestId: number;
  /** Error Code (5.2.7), or Traffic Code (draft-detienne-dmvpn section 4, always 0). */
  readonly code: number;
  readonly errorOffset: number;
  readonly cies: readonly PlainCie[];
  /** Of an indication. */
  readonly contents: Uint8Array;
}

/** Codes 1 and above are not defined. */
const redirect = 0;

/** Without request id, flags and CIEs. */
export function isIndication(type: NhrpType): boolean {
  return type === 'error-indication' || type === 'traffic-indication';
}

export function writeMandatory(writer: Writer, type: NhrpType, part: MandatoryPart): void {
  writer.u8(part.source ? addressOctets(familyOf(part.source)) : 0, 'source length');
  writer.u8(addressOctets(familyOf(part.destination)), 'destination length');
  writer.u16(part.flags, 'flags');
  if (isIndication(type)) {
    writer.u16(part.code, 'code');
    writer.u16(part.errorOffset, 'error offset');
  } else writer.u32(part.requestId, 'request id');
  writeBareAddress(writer, part.sourceNbma);
  writeBareAddress(writer, part.source);
  writeBareAddress(writer, part.destination);
  for (const cie of part.cies) writeCie(writer, cie);
  writer.octets(part.contents);
}

export function readMandatory(reader: Reader, header: FixedHeader): MandatoryPart {
  const { type, nbmaLength } = header;
  const { offset } = reader;
  const sourceLength = reader.u8();
  const destinationLength = reader.u8();
  const flags = reader.u16();
  const indication = isIndication(type);
  const code = indication ? reader.u16() : 0;
  const errorOffset = indication ? reader.u16() : 0;
  const requestId = indication ? 0 : reader.u32();
  const octets = addressOctets(header.protocol);
  if (sourceLength !== 0 && sourceLength !== octets) reader.fail('the source is not of the protocol', offset);
  if (destinationLength !== octets) reader.fail('the destination is not of the protocol', offset + 1);
  if (type === 'traffic-indication' && code !== redirect) {
    reader.fail(`traffic code ${String(code)} is not 0`, offset + 4);
  }
  return {
    sourceNbma: nbmaLength === 0 ? undefined : readBareAddress(reader, header.nbma),
    source: sourceLength === 0 ? undefined : readBareAddress(reader, header.protocol),
    destination: readBareAddress(reader, header.protocol),
    flags,
    requestId,
    code,
    errorOffset,
    ...readTail(reader, indication, header),
  };
}

function readTail(
  reader: Reader,
  indication: boolean,
  families: Families,
): { readonly cies: readonly PlainCie[]; readonly contents: Uint8Array } {
  return indication
    ? { cies: [], contents: reader.rest() }
    : { cies: readCies(reader, families), contents: new Uint8Array() };
}
