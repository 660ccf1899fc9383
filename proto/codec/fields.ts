// Codecs: between what travels or is stored and the values of proto/model. Everything that comes in is untrusted: sizes and
// ranges are bounded, and what is wrong comes back as a Fault whose message starts with the path of the field. Imports
// proto/model, generated code, kit's Secret, zod and yaml. Nothing here throws.
//
// This file: the combinators of which the wire decoders are made.
import { type Address, parseAddress, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, parseEndpoint } from '#proto/model/endpoint.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';

/** Longer than any text form of an address, a key or an endpoint. */
const longestAtom = 64;

type Values<R> = { readonly [K in keyof R]: R[K] extends Result<infer T> ? T : never };

/** All values, or the first fault with its field's name in front. */
export function fields<R extends Record<string, Result<unknown>>>(results: R): Result<Values<R>> {
  const values: Record<string, unknown> = {};
  for (const [name, result] of Object.entries(results)) {
    if (!result.ok) return fail(result.fault.code, `${name}: ${result.fault.message}`);
    values[name] = result.value;
  }
  return ok(values as Values<R>);
}

export function map<T, U>(result: Result<T>, change: (value: T) => U): Result<U> {
  return result.ok ? ok(change(result.value)) : result;
}

/** At most `most` items; the first fault wins and names its index. */
export function list<W, T>(items: readonly W[], most: number, decode: (item: W) => Result<T>): Result<readonly T[]> {
  if (items.length > most) return fail('too-many', `${String(items.length)} items; at most ${String(most)} are taken`);
  const values: T[] = [];
  for (const [index, item] of items.entries()) {
    const decoded = decode(item);
    if (!decoded.ok) return fail(decoded.fault.code, `[${String(index)}]: ${decoded.fault.message}`);
    values.push(decoded.value);
  }
  return ok(values);
}

/** A short text with a parser of its own, such as an address. */
export function atom<T>(text: string, parse: (text: string) => Result<T>): Result<T> {
  if (text.length > longestAtom) return fail('too-long', `${String(text.length)} characters are too many`);
  return parse(text);
}

/** Empty text is absence. */
export function optionalAtom<T>(text: string, parse: (text: string) => Result<T>): Result<T | undefined> {
  return text === '' ? ok(undefined) : atom(text, parse);
}

/** Absence stays absence. */
export function optional<W, T>(wire: W | undefined, decode: (wire: W) => Result<T>): Result<T | undefined> {
  return wire === undefined ? ok(undefined) : decode(wire);
}

/** A message that must be there. */
export function required<W, T>(wire: W | undefined, decode: (wire: W) => Result<T>): Result<T> {
  return wire === undefined ? fail('missing', 'is missing') : decode(wire);
}

export function integer(value: number, least: number, most: number): Result<number> {
  if (Number.isInteger(value) && value >= least && value <= most) return ok(value);
  return fail('out-of-range', `${String(value)} is not in ${String(least)} to ${String(most)}`);
}

export function u8(value: number): Result<number> {
  return integer(value, 0, 0xff);
}

export function u16(value: number): Result<number> {
  return integer(value, 0, 0xffff);
}

export function u32(value: number): Result<number> {
  return integer(value, 0, 0xffff_ffff);
}

/** Free text for people: no control characters, which could drive the terminal that shows it. */
export function plainText(text: string, most = 256): Result<string> {
  if (text.length > most)
    return fail('too-long', `${String(text.length)} characters; at most ${String(most)} are taken`);
  return /\p{Cc}/u.test(text) ? fail('bad-text', 'has control characters') : ok(text);
}

export function octets(bytes: Uint8Array, most: number): Result<Uint8Array> {
  if (bytes.length > most) return fail('too-long', `${String(bytes.length)} octets; at most ${String(most)} are taken`);
  // A copy: the wire's buffer is a window on a larger one.
  return ok(new Uint8Array(bytes));
}

export function address(text: string): Result<Address> {
  return atom(text, parseAddress);
}

export function optionalAddress(text: string): Result<Address | undefined> {
  return optionalAtom(text, parseAddress);
}

export function prefixes(texts: readonly string[], most: number): Result<readonly Prefix[]> {
  return list(texts, most, (text) => atom(text, parsePrefix));
}

export function endpoints(texts: readonly string[], most: number): Result<readonly Endpoint[]> {
  return list(texts, most, (text) => atom(text, parseEndpoint));
}
