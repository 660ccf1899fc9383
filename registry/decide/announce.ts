// What a node announces, from one registration to the next.
import { type Address, addressBits, familyOf, lengthOf, type Prefix, prefixOf } from '#proto/model/address.ts';
import { type Cie, uniquePrefixLength } from '#proto/model/nhrp.ts';
import type { Timestamp } from '#proto/model/time.ts';
import type { Announcement } from './records.ts';

export type Wish = Pick<Announcement, 'prefix' | 'preference'>;

/** The prefix that a CIE with this protocol address is about; undefined if it cannot be one. Host bits do not count. */
export function prefixOfCie({ prefixLength }: Cie, address: Address): Prefix | undefined {
  const bits = addressBits(familyOf(address));
  const length = prefixLength === uniquePrefixLength ? bits : prefixLength;
  return length > bits || length === 0 ? undefined : prefixOf(address, length);
}

export function wishOf(cie: Cie, address: Address): Wish[] {
  const prefix = prefixOfCie(cie, address);
  return prefix === undefined ? [] : [{ prefix, preference: cie.preference }];
}

/** The announcements after a registration, by length; what stays as it was keeps its age. */
export function announce(
  before: readonly Announcement[],
  wishes: readonly Wish[],
  { now, additive }: { readonly now: Timestamp; readonly additive: boolean },
): readonly Announcement[] {
  const known = new Map(before.map((one) => [one.prefix, one]));
  const next = new Map(additive ? known : []);
  for (const { prefix, preference } of wishes) {
    const old = known.get(prefix);
    next.set(prefix, old?.preference === preference ? old : { prefix, preference, since: now });
  }
  return [...next.values()].sort((a, b) => lengthOf(a.prefix) - lengthOf(b.prefix) || (a.prefix < b.prefix ? -1 : 1));
}
