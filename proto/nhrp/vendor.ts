// What RFC 2332 has no field for travels in a vendor-private extension (5.3.5), not compulsory, written after all others:
//
//   vendor 02-64-6d | version 1 | ar$op.type | elements: type (u8), length (u16), value ...
//
// The vendor id is one that IEEE 802c leaves to administrators, as dmwg owns none. A reply carries the request's vendor-private
// extensions (5.3.5): the packet type tells one that came back from one that is about this packet. A new element means a new version:
// versions and elements that are not known are refused.
import type { Address } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import { errorCode, type Extension, type NodeInterface, type Target } from '#proto/model/nhrp.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import {
  readAddress,
  readEndpoint,
  readEndpoints,
  readPort,
  writeAddress,
  writeEndpoint,
  writeEndpoints,
} from './address.ts';
import { extensionType, type PlacedExtension } from './extensions.ts';
import type { PacketFault } from './fault.ts';
import { type NhrpType, typeNumber } from './header.ts';
import { Reader } from './reader.ts';
import {
  readInterface,
  readPrefixes,
  readRendezvous,
  readTarget,
  writeInterface,
  writePrefixes,
  writeRendezvous,
  writeTarget,
} from './vendor-node.ts';
import { Writer } from './writer.ts';

/** What a packet says beside RFC 2332. Undefined or absent: the packet's own field says all. */
export interface VendorData {
  /** Of an indication: its packet has another field in its place. */
  readonly requestId?: number | undefined;
  readonly sourcePort?: number | undefined;
  /** A source of another family than the destination's. */
  readonly source?: Address | undefined;
  /** By the index of the CIE: all its endpoints. */
  readonly nbma: ReadonlyMap<number, readonly Endpoint[]>;
  /** By the index of the CIE: an address of another family than the destination's. */
  readonly protocolAddresses: ReadonlyMap<number, Address>;
  readonly target?: Target | undefined;
  readonly interfaces: readonly NodeInterface[];
  readonly observedEndpoint?: Endpoint | undefined;
}

const vendorId = [0x02, 0x64, 0x6d] as const;
const version = 1;

/** The value of each is in docs/nhrp.md. */
const element = {
  requestId: 1,
  sourcePort: 2,
  source: 3,
  nbma: 4,
  protocolAddress: 5,
  target: 6,
  targetPrefixes: 7,
  rendezvous: 8,
  interface: 9,
  observedEndpoint: 10,
} as const;

/** Undefined if there is nothing to say. */
export function writeVendor(type: NhrpType, data: VendorData): Result<Extension | undefined, PacketFault> {
  const writer = new Writer();
  const { requestId, sourcePort, source, target, observedEndpoint } = data;
  writer.octets(Uint8Array.of(...vendorId, version, typeNumber(type)));
  const { length } = writer;
  const write = (what: keyof typeof element, value: (inner: Writer) => void) => {
    writer.u8(element[what], what);
    writer.counted(what, value);
  };
  if (requestId !== undefined)
    write('requestId', (inner) => {
      inner.u32(requestId, 'request id');
    });
  if (sourcePort !== undefined)
    write('sourcePort', (inner) => {
      inner.u16(sourcePort, 'port');
    });
  if (source !== undefined)
    write('source', (inner) => {
      writeAddress(inner, source);
    });
  for (const [index, endpoints] of data.nbma) {
    write('nbma', (inner) => {
      inner.u16(index, 'index of a CIE');
      writeEndpoints(inner, endpoints);
    });
  }
  for (const [index, address] of data.protocolAddresses) {
    write('protocolAddress', (inner) => {
      inner.u16(index, 'index of a CIE');
      writeAddress(inner, address);
    });
  }
  if (target) {
    const { prefixes, rendezvous } = target;
    write('target', (inner) => {
      writeTarget(inner, target);
    });
    if (prefixes.length > 0)
      write('targetPrefixes', (inner) => {
        writePrefixes(inner, prefixes);
      });
    if (rendezvous)
      write('rendezvous', (inner) => {
        writeRendezvous(inner, rendezvous);
      });
  }
  for (const one of data.interfaces)
    write('interface', (inner) => {
      writeInterface(inner, one);
    });
  if (observedEndpoint)
    write('observedEndpoint', (inner) => {
      writeEndpoint(inner, observedEndpoint);
    });
  const value = writer.result();
  if (!value.ok) return value;
  return ok(
    writer.length > length ? { type: extensionType.vendorPrivate, compulsory: false, value: value.value } : undefined,
  );
}

/** Whether an extension is this one about a packet of the type; a fault: it is of this vendor, but of no known version. */
export function isVendor({ type, value }: Extension, packet: NhrpType): Result<boolean> {
  if (type !== extensionType.vendorPrivate || vendorId.some((octet, at) => value[at] !== octet)) return ok(false);
  if (value[3] !== version) return fail('nhrp-vendor-version', `version ${String(value[3])} of the extension is not 1`);
  if (value[4] === undefined) return fail('nhrp-vendor-type', 'the packet type is missing');
  return ok(value[4] === typeNumber(packet));
}

/** Says nothing without an extension. */
export function readVendor(packet: NhrpType, placed: PlacedExtension | undefined): Result<VendorData, PacketFault> {
  const { value } = placed?.extension ?? { value: new Uint8Array() };
  const reader = new Reader(value, (placed?.offset ?? 0) + 4, errorCode.invalidExtension);
  if (placed) reader.octets(vendorId.length + 2);
  const seen = new Set<string>();
  const nbma = new Map<number, readonly Endpoint[]>();
  const protocolAddresses = new Map<number, Address>();
  const interfaces: NodeInterface[] = [];
  let data: Partial<VendorData> = {};
  while (reader.left > 0) {
    const { offset } = reader;
    const type = reader.u8();
    const inner = reader.part(reader.u16());
    let key = String(type);
    switch (type) {
      case element.requestId:
        data = { ...data, requestId: inner.u32() };
        break;
      case element.sourcePort:
        data = { ...data, sourcePort: readPort(inner) };
        break;
      case element.source:
        data = { ...data, source: readAddress(inner) };
        break;
      case element.nbma: {
        const index = inner.u16();
        key += ` ${String(index)}`;
        nbma.set(index, readEndpoints(inner));
        break;
      }
      case element.protocolAddress: {
        const index = inner.u16();
        key += ` ${String(index)}`;
        protocolAddresses.set(index, readAddress(inner));
        break;
      }
      case element.target:
        data = { ...data, target: readTarget(inner) };
        break;
      case element.targetPrefixes:
        if (data.target) data = { ...data, target: { ...data.target, prefixes: readPrefixes(inner) } };
        else reader.fail('prefixes without a target', offset);
        break;
      case element.rendezvous:
        if (data.target) data = { ...data, target: { ...data.target, rendezvous: readRendezvous(inner) } };
        else reader.fail('a rendezvous without a target', offset);
        break;
      case element.interface: {
        const one = readInterface(inner);
        if (one) interfaces.push(one);
        key += ` ${String(offset)}`;
        break;
      }
      case element.observedEndpoint:
        data = { ...data, observedEndpoint: readEndpoint(inner) };
        break;
      default:
        reader.fail(`${String(type)} is not an element: 1 to 10`, offset);
    }
    if (inner.left > 0) reader.fail(`element ${key} is too long`, offset);
    if (seen.has(key)) reader.fail(`element ${key} is there twice`, offset);
    seen.add(key);
    if (!belongs(type, packet)) reader.fail(`element ${key} has no place in a ${packet}`, offset);
  }
  return reader.result({ ...data, nbma, protocolAddresses, interfaces });
}

function belongs(type: number, packet: NhrpType): boolean {
  switch (type) {
    case element.requestId:
      return packet === 'error-indication' || packet === 'traffic-indication';
    case element.target:
    case element.targetPrefixes:
    case element.rendezvous:
      return packet === 'resolution-request' || packet === 'resolution-reply';
    case element.interface:
      return packet === 'registration-request';
    case element.observedEndpoint:
      return packet === 'registration-reply';
    default:
      return true;
  }
}
