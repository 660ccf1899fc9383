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

/**
 * A node address in `pool`. A request is granted if it is inside and free; else the same offset as `like` has in its own
 * pool, so that 10.0.0.7 goes with fd00::7; else the lowest free one. The first address of a pool (network, subnet-router
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
  for (let offset = range.first; offset <= range.last; offset++) {
    const address = at(pool, offset);
    if (!taken(address)) return ok(address);
  }
  return fail('pool-exhausted', `the pool ${pool} has no free address`);
}

/** How far the address is from the start of the pool. */
export function offsetIn(pool: Prefix, address: Address): bigint {
  return addressValue(address) - addressValue(networkOf(pool));
}

function at(pool: Prefix, offset: bigint): Address {
  return formatAddress(familyOf(pool), addressValue(networkOf(pool)) + offset);
}

function usable(pool: Prefix): { readonly first: bigint; readonly last: bigint } {
  const size = 1n << BigInt(addressBits(familyOf(pool)) - lengthOf(pool));
  if (size <= 2n) return { first: 0n, last: size - 1n };
  return { first: 1n, last: familyOf(pool) === 4 ? size - 2n : size - 1n };
}
