// NHRP packets: the octets of RFC 2332 section 5, as they follow a GRE header with protocol 0x2001, from and to the messages of the
// model. Pure: imports the model alone. Nothing throws; what is wrong is a PacketFault, which names the RFC's error code and offset.
import { errorCode, type Extension, type NhrpMessage } from '#proto/model/nhrp.ts';
import { ok, type Result } from '#proto/model/result.ts';
import { ciesOf } from './body.ts';
import { type PlacedExtension, readExtensions, writeExtensions } from './extensions.ts';
import { failAt, type PacketFault } from './fault.ts';
import { addressOctets } from './address.ts';
import { headerOctets, isErrorIndication, readHeader, seal, writeHeader } from './header.ts';
import { readMandatory, writeMandatory } from './mandatory.ts';
import { Reader } from './reader.ts';
import { familiesOf, hasPrefixLength, join, split } from './split.ts';
import { isVendor, readVendor, writeVendor } from './vendor.ts';
import { Writer } from './writer.ts';

/** Faults: a value does not fit its field (7), the packet is longer than 65535 octets (8), an extension is none (9). */
export function encodePacket(message: NhrpMessage): Result<Uint8Array, PacketFault> {
  const { type } = message.body;
  const families = familiesOf(message);
  const { part, vendor } = split(message, families);
  const mandatory = new Writer();
  if (!ciesOf(message.body).every(hasPrefixLength)) mandatory.fail('a prefix length of a CIE is too long');
  writeMandatory(mandatory, type, part);

  const own = writeVendor(type, vendor);
  if (!own.ok) return own;
  const all = own.value ? [...message.extensions, own.value] : message.extensions;
  const extensions = new Writer();
  for (const one of message.extensions) {
    const taken = isVendor(one, type);
    if (!taken.ok || taken.value)
      extensions.fail('the vendor-private extension is made here', errorCode.invalidExtension);
  }
  if (all.length > 0) writeExtensions(extensions, all, families);

  const extensionOffset = headerOctets + mandatory.length;
  const packet = writeHeader({
    ...families,
    type,
    hopCount: message.hopCount,
    size: extensionOffset + extensions.length,
    extensionOffset: all.length > 0 ? extensionOffset : 0,
    nbmaLength: part.sourceNbma ? addressOctets(families.nbma) : 0,
  });
  packet.append(mandatory);
  packet.append(extensions);
  const bytes = packet.result();
  return bytes.ok ? ok(seal(bytes.value)) : bytes;
}

/** Faults carry the code that an Error Indication about the packet would have, and none if it is one itself. */
export function decodePacket(bytes: Uint8Array): Result<NhrpMessage, PacketFault> {
  const message = decode(bytes);
  if (message.ok || !isErrorIndication(bytes)) return message;
  return { ok: false, fault: { ...message.fault, error: undefined } };
}

function decode(bytes: Uint8Array): Result<NhrpMessage, PacketFault> {
  const header = readHeader(bytes);
  if (!header.ok) return header;
  const { type, size, extensionOffset } = header.value;
  const reader = new Reader(bytes.subarray(0, size));
  reader.octets(headerOctets);
  const mandatory = reader.part((extensionOffset === 0 ? size : extensionOffset) - headerOctets);
  const part = readMandatory(mandatory, header.value);
  const rest = reader.part(reader.left, errorCode.invalidExtension);
  const placed = extensionOffset === 0 ? [] : readExtensions(rest, header.value);
  const read = reader.result(placed);
  if (!read.ok) return read;

  const own: PlacedExtension[] = [];
  const others: Extension[] = [];
  for (const one of read.value) {
    const ours = isVendor(one.extension, type);
    if (!ours.ok) return failAt(errorCode.invalidExtension, one.offset, ours.fault.message);
    if (ours.value) own.push(one);
    else others.push(one.extension);
  }
  const [first, second] = own;
  if (second) return failAt(errorCode.invalidExtension, second.offset, 'the vendor-private extension is there twice');
  const vendor = readVendor(type, first);
  if (!vendor.ok) return vendor;
  const offset = first?.offset ?? 0;
  return join({ header: header.value, part, vendor: vendor.value, extensions: others, offset });
}
