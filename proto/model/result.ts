// The pure vocabulary of dmwg: values that exist only if their parser made them. Imports nothing but itself (address.ts
// alone uses ipaddr.js, which is pure). Parsers never throw: what can be wrong comes back as a Fault.

/** Something that went wrong and that its receiver can understand. `code` is constant, `message` says what to do. */
export interface Fault {
  readonly code: string;
  readonly message: string;
}

export type Result<T, F = Fault> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: F };

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function fail(code: string, message: string): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: { code, message } };
}

/** Parses every item; the first fault wins and names the item's index. */
export function parseAll<T>(items: readonly string[], parse: (item: string) => Result<T>): Result<T[]> {
  const values: T[] = [];
  for (const [index, item] of items.entries()) {
    const parsed = parse(item);
    if (!parsed.ok) return fail(parsed.fault.code, `[${String(index)}]: ${parsed.fault.message}`);
    values.push(parsed.value);
  }
  return ok(values);
}

/** For literals that are known to be right: tests and constants. Throws on a fault. */
export function must<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(`${result.fault.code}: ${result.fault.message}`);
}

declare const brand: unique symbol;
/** A string or number that only its parser may make. */
export type Brand<T, B extends string> = T & { readonly [brand]: B };
