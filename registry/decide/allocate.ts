import {
  type Address,
  addressBits,
  addressValue,
  containsAddress,
  familyOf,
  formatAddress,
  lengthOf,
  networkOf,
  type Prefix,
} from '#proto/model/address.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';

type Taken = (address: Address) => boolean;

/** Offsets in a pool, both included. */
interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

/**
 * A node address in `pool`. A request is granted if it is inside and free; else the same offset as `like` has in its own
 * pool, so that 10.0.0.7 goes with fd00::7; else a low free one (the lowest, while few are taken). The first address of a pool (network, subnet-router
 * anycast) and the last of an IPv4 pool (broadcast) are never given, except in pools of one or two addresses.
 * Faults: address-outside-pool, address-taken, pool-exhausted.
 */
export function allocate(
  pool: Prefix,
  taken: Taken,
  wanted: { readonly address?: Address | undefined; readonly offset?: bigint | undefined } = {},
): Result<Address> {
  const range = usable(pool);
  if (wanted.address !== undefined) {
    const offset = containsAddress(pool, wanted.address) ? offsetIn(pool, wanted.address) : -1n;
    if (offset < range.first || offset > range.last) {
      return fail('address-outside-pool', `${wanted.address} is not a host address of the pool ${pool}`);
    }
    if (taken(wanted.address)) {
      return fail('address-taken', `${wanted.address} belongs to another node; ask for another one or for none`);
    }
    return ok(wanted.address);
  }
  if (wanted.offset !== undefined && wanted.offset >= range.first && wanted.offset <= range.last) {
    const same = at(pool, wanted.offset);
    if (!taken(same)) return ok(same);
  }
  const free = firstFree(range, (offset) => taken(at(pool, offset)));
  return free === undefined ? fail('pool-exhausted', `the pool ${pool} has no free address`) : ok(at(pool, free));
}

/** How many of the lowest are tried one by one, so that a small overlay has no gaps. */
const tried = 256n;

/**
 * Beyond those the end of a run of taken offsets is looked for, by doubling and halving: thousands of nodes join one after the
 * other, and each would try all before it. A pool with no free offset on the way is searched from its start.
 */
function firstFree({ first, last }: Range, taken: (offset: bigint) => boolean): bigint | undefined {
  const lowest = scan(first, last < first + tried ? last : first + tried, taken);
  if (lowest !== undefined || last <= first + tried) return lowest;
  for (let low = first + tried, step = tried; low + step <= last; low += step, step *= 2n) {
    if (!taken(low + step)) return edge(low, low + step, taken);
  }
  return scan(first + tried, last, taken);
}

function scan(from: bigint, to: bigint, taken: (offset: bigint) => boolean): bigint | undefined {
  for (let offset = from; offset <= to; offset++) if (!taken(offset)) return offset;
  return undefined;
}

/** A free offset right after a taken one, between `low`, which is taken, and `high`, which is free. */
function edge(low: bigint, high: bigint, taken: (offset: bigint) => boolean): bigint {
  if (high - low === 1n) return high;
  const middle = (low + high) / 2n;
  return taken(middle) ? edge(middle, high, taken) : edge(low, middle, taken);
}

/** How far the address is from the start of the pool. */
export function offsetIn(pool: Prefix, address: Address): bigint {
  return addressValue(address) - addressValue(networkOf(pool));
}

function at(pool: Prefix, offset: bigint): Address {
  return formatAddress(familyOf(pool), addressValue(networkOf(pool)) + offset);
}

function usable(pool: Prefix): Range {
  const size = 1n << BigInt(addressBits(familyOf(pool)) - lengthOf(pool));
  if (size <= 2n) return { first: 0n, last: size - 1n };
  return { first: 1n, last: familyOf(pool) === 4 ? size - 2n : size - 1n };
}
