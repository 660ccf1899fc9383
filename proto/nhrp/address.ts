// Addresses, endpoints, prefixes and keys as octets.
import {
  type Address,
  addressBits,
  addressValue,
  type Family,
  familyOf,
  formatAddress,
  lengthOf,
  networkOf,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import { type Endpoint, endpointAddress, endpointOf, endpointPort } from '#proto/model/endpoint.ts';
import { type NodeId, parseNodeId } from '#proto/model/names.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** 4 or 16. */
export function addressOctets(family: Family): number {
  return addressBits(family) / 8;
}

/** Without a family; a field that holds no address has no octets. */
export function writeBareAddress(writer: Writer, address: Address | undefined): void {
  if (address === undefined) return;
  let value = addressValue(address);
  const octets = new Uint8Array(addressOctets(familyOf(address)));
  for (let at = octets.length - 1; at >= 0; at -= 1) {
    octets[at] = Number(value & 0xffn);
    value >>= 8n;
  }
  writer.octets(octets);
}

export function readBareAddress(reader: Reader, family: Family): Address {
  let value = 0n;
  for (const octet of reader.octets(addressOctets(family))) value = (value << 8n) | BigInt(octet);
  return formatAddress(family, value);
}

/** One octet, 4 or 6, and the address. */
export function writeAddress(writer: Writer, address: Address): void {
  writer.u8(familyOf(address), 'family');
  writeBareAddress(writer, address);
}

export function readAddress(reader: Reader): Address {
  return readBareAddress(reader, readFamily(reader));
}

function readFamily(reader: Reader): Family {
  const { offset } = reader;
  const family = reader.u8();
  if (family !== 4 && family !== 6) reader.fail(`${String(family)} is not a family: 4 or 6`, offset);
  return family === 6 ? 6 : 4;
}

/** An address with its family, and the port. */
export function writeEndpoint(writer: Writer, endpoint: Endpoint): void {
  writeAddress(writer, endpointAddress(endpoint));
  writer.u16(endpointPort(endpoint), 'port');
}

export function readEndpoint(reader: Reader): Endpoint {
  const address = readAddress(reader);
  return endpointOf(address, readPort(reader));
}

/** Not 0. */
export function readPort(reader: Reader): number {
  const { offset } = reader;
  const port = reader.u16();
  if (port === 0) reader.fail('0 is not a port', offset);
  return port;
}

export function writeEndpoints(writer: Writer, endpoints: readonly Endpoint[]): void {
  for (const endpoint of endpoints) writeEndpoint(writer, endpoint);
}

/** As many as are left. */
export function readEndpoints(reader: Reader): readonly Endpoint[] {
  const endpoints: Endpoint[] = [];
  while (reader.left > 0) endpoints.push(readEndpoint(reader));
  return endpoints;
}

/** One octet for its length, and its first address with the family. */
export function writePrefix(writer: Writer, prefix: Prefix): void {
  writer.u8(lengthOf(prefix), 'prefix length');
  writeAddress(writer, networkOf(prefix));
}

export function readPrefix(reader: Reader): Prefix {
  const { offset } = reader;
  const length = reader.u8();
  const address = readAddress(reader);
  const prefix = prefixOf(address, Math.min(length, addressBits(familyOf(address))));
  if (lengthOf(prefix) !== length || networkOf(prefix) !== address) {
    reader.fail(`${address}/${String(length)} is not a prefix`, offset);
  }
  return prefix;
}

/** Eight octets. */
export function writeNodeId(writer: Writer, node: NodeId): void {
  for (let at = 0; at < node.length; at += 2) writer.u8(Number.parseInt(node.slice(at, at + 2), 16), 'node id');
}

export function readNodeId(reader: Reader): NodeId | undefined {
  const digits = Array.from(reader.octets(8), (octet) => octet.toString(16).padStart(2, '0'));
  return reader.take(parseNodeId(digits.join('')));
}
