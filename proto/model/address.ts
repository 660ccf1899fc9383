// Addresses and prefixes as canonical text (RFC 5952 for IPv6), so that equal values are equal strings: they work as Map
// keys, in JSON and in golden files. Arithmetic goes through bigint.
import ipaddr from 'ipaddr.js';
import { type Brand, fail, ok, type Result } from './result.ts';

export type Family = 4 | 6;
/** An IPv4 or IPv6 address without zone. */
export type Address = Brand<string, 'Address'>;

/** A network prefix without host bits: "10.1.0.0/16". */
export type Prefix = Brand<string, 'Prefix'>;

const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const canonical4 = new RegExp(`^${octet}\\.${octet}\\.${octet}\\.${octet}$`);

export function parseAddress(text: string): Result<Address> {
  // In the form that everything here writes: nothing to be made of it.
  if (canonical4.test(text)) return ok(text as Address);
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return ok(ipaddr.IPv4.parse(text).toString() as Address);
  }
  if (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text)) {
    return ok(ipaddr.IPv6.parse(text).toRFC5952String() as Address);
  }
  return fail('bad-address', `"${clip(text)}" is not an IPv4 or IPv6 address`);
}

/** Accepts "address/length" without host bits, or a plain address as /32 or /128. */
export function parsePrefix(text: string): Result<Prefix> {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (!address.ok) return fail('bad-prefix', `"${clip(text)}" is not a prefix such as 10.1.0.0/16`);
  const bits = addressBits(familyOf(address.value));
  const digits = slash < 0 ? String(bits) : text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > bits) {
    return fail('bad-prefix', `"${clip(text)}" needs a length of 0 to ${String(bits)} after the slash`);
  }
  const prefix = prefixOf(address.value, Number(digits));
  if (networkOf(prefix) !== address.value) {
    return fail('host-bits', `"${clip(text)}" has host bits set; the prefix is ${prefix}`);
  }
  return ok(prefix);
}

/** A prefix for a node to announce. Faults: those of parsePrefix, default-route. */
export function parseAnnounced(text: string): Result<Prefix> {
  const prefix = parsePrefix(text);
  return prefix.ok ? checkAnnounced(prefix.value) : prefix;
}

/** NHRP cannot say a prefix of length 0 (RFC 2332 5.2.0.1). Fault: default-route. */
export function checkAnnounced(prefix: Prefix): Result<Prefix> {
  if (lengthOf(prefix) > 0) return ok(prefix);
  const halves = familyOf(prefix) === 4 ? '0.0.0.0/1 and 128.0.0.0/1' : '::/1 and 8000::/1';
  return fail('default-route', `${prefix} cannot be announced: give its halves, ${halves}`);
}

/** The prefix of `length` bits that contains `address`. */
export function prefixOf(address: Address, length: number): Prefix {
  const family = familyOf(address);
  if (length === addressBits(family)) return hostPrefix(address);
  if (family === 4) {
    const mask = length === 0 ? 0 : -1 << (32 - length);
    return `${formatIpv4(ipv4Number(address) & mask)}/${String(length)}` as Prefix;
  }
  return `${formatAddress(family, maskTo(family, addressValue(address), length))}/${String(length)}` as Prefix;
}

/** "/32" or "/128". */
export function hostPrefix(address: Address): Prefix {
  return `${address}/${String(addressBits(familyOf(address)))}` as Prefix;
}

export function familyOf(value: Address | Prefix): Family {
  return value.includes(':') ? 6 : 4;
}

/** 32 or 128. */
export function addressBits(family: Family): number {
  return family === 4 ? 32 : 128;
}

export function networkOf(prefix: Prefix): Address {
  return prefix.slice(0, prefix.indexOf('/')) as Address;
}

export function lengthOf(prefix: Prefix): number {
  return Number(prefix.slice(prefix.indexOf('/') + 1));
}

export function isHostPrefix(prefix: Prefix): boolean {
  return lengthOf(prefix) === addressBits(familyOf(prefix));
}

/** The address as a number, most significant bit first. */
export function addressValue(address: Address): bigint {
  if (familyOf(address) === 4) return BigInt(ipv4Number(address));
  let value = 0n;
  for (const byte of ipaddr.parse(address).toByteArray()) value = (value << 8n) | BigInt(byte);
  return value;
}

/** An IPv4 address as a number, without a bigint. */
export function ipv4Number(address: Address): number {
  let value = 0;
  let part = 0;
  for (let at = 0; at < address.length; at++) {
    const code = address.charCodeAt(at);
    if (code === 0x2e) {
      value = value * 256 + part;
      part = 0;
    } else part = part * 10 + code - 0x30;
  }
  return value * 256 + part;
}

/** The inverse of addressValue; bits above the family's width are ignored. */
export function formatAddress(family: Family, value: bigint): Address {
  return family === 4 ? formatIpv4(Number(BigInt.asUintN(32, value))) : formatIpv6(value);
}

function formatIpv4(value: number): Address {
  const byte = (shift: number): string => String((value >>> shift) & 0xff);
  return `${byte(24)}.${byte(16)}.${byte(8)}.${byte(0)}` as Address;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of at least two zero groups as "::". */
function formatIpv6(value: bigint): Address {
  const words = [96n, 64n, 32n, 0n].map((shift) => Number(BigInt.asUintN(32, value >> shift)));
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  let start = 0;
  let length = 1;
  for (let from = 0; from < 8; from += 1) {
    let to = from;
    while (to < 8 && groups[to] === 0) to += 1;
    if (to - from > length) [start, length] = [from, to - from];
    if (to > from) from = to;
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (length < 2) return text(groups) as Address;
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}` as Address;
}

export function containsAddress(prefix: Prefix, address: Address): boolean {
  if (familyOf(prefix) !== familyOf(address)) return false;
  return prefixOf(address, lengthOf(prefix)) === prefix;
}

/** Whether every address of `inner` is in `outer`; true for equal ones. */
export function containsPrefix(outer: Prefix, inner: Prefix): boolean {
  return lengthOf(outer) <= lengthOf(inner) && containsAddress(outer, networkOf(inner));
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return containsPrefix(a, b) || containsPrefix(b, a);
}

/** 224.0.0.0/4, ff00::/8, and the limited broadcast. */
export function isMulticast(address: Address): boolean {
  if (familyOf(address) === 6) return addressValue(address) >> 120n === 0xffn;
  const value = ipv4Number(address);
  return value >>> 28 === 0xe || value === 0xffff_ffff;
}

/** IPv4 before IPv6, then by number, then the shorter prefix first. */
export function comparePrefixes(a: Prefix, b: Prefix): number {
  const family = familyOf(a) - familyOf(b);
  if (family !== 0) return family;
  const left = addressValue(networkOf(a));
  const right = addressValue(networkOf(b));
  return left < right ? -1 : left > right ? 1 : lengthOf(a) - lengthOf(b);
}

function maskTo(family: Family, value: bigint, length: number): bigint {
  const rest = BigInt(addressBits(family) - length);
  return (value >> rest) << rest;
}

function clip(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}...` : text;
}
