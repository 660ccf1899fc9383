// What a node announces, from one registration to the next.
import {
  type Address,
  addressBits,
  familyOf,
  lengthOf,
  networkOf,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import { type Cie, cieCode, uniquePrefixLength } from '#proto/model/nhrp.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { outsideOf, type Refusal, refusalOf } from './permit.ts';
import type { Announcement, BindingRecord, NodeRecord, RefusedAnnouncement } from './records.ts';
import type { Snapshot } from './state.ts';

/** What a CIE asks for; `prefix` undefined: nothing that a prefix could be. */
export interface Wish {
  readonly prefix: Prefix | undefined;
  readonly preference: number;
}

/** Said of what is damped. */
const flapping = 'it flaps: announced again once it has been quiet';
/** Of what was refused, so many are remembered to be shown. */
const mostRefused = 100;

/** Of a CIE with this protocol address. */
export function wishOf({ prefixLength, preference }: Cie, address: Address): Wish {
  const bits = addressBits(familyOf(address));
  const length = prefixLength === uniquePrefixLength ? bits : prefixLength;
  const prefix = length > bits || length === 0 ? undefined : prefixOf(address, length);
  return { prefix: prefix !== undefined && networkOf(prefix) === address ? prefix : undefined, preference };
}

interface Wishes {
  readonly wishes: readonly (Wish | undefined)[];
  /** What stays announced besides. */
  readonly kept: readonly Announcement[];
  readonly limit: number;
  /** Those that flap. */
  readonly damped: ReadonlySet<Prefix>;
}

/** Why each wish is refused, if it is; the first `limit` prefixes that may be announced are. */
export function review(
  snapshot: Snapshot,
  node: NodeRecord,
  { wishes, kept, limit, damped }: Wishes,
): (Refusal | undefined)[] {
  const outside = wishes.length > 0 ? outsideOf(snapshot, node) : [];
  const taken = new Set(kept.map(({ prefix }) => prefix));
  return wishes.map((wish): Refusal | undefined => {
    if (!wish) return undefined;
    const { prefix } = wish;
    if (prefix === undefined) return { code: cieCode.prohibited, reason: 'it is no prefix' };
    const refusal = refusalOf(snapshot, node, prefix, outside);
    if (refusal) return refusal;
    if (damped.has(prefix)) return { code: cieCode.noResources, reason: flapping };
    if (!taken.has(prefix) && taken.size >= limit) {
      return { code: cieCode.noResources, reason: `the node announces ${String(limit)} prefixes already, the limit` };
    }
    taken.add(prefix);
    return undefined;
  });
}

interface Registration {
  readonly wishes: readonly (Wish | undefined)[];
  /** One a wish. */
  readonly verdicts: readonly (Refusal | undefined)[];
  readonly now: Timestamp;
  readonly additive: boolean;
  /** What flaps stays as it is known, whether it is there at the moment or not. */
  readonly damped: ReadonlySet<Prefix>;
}

/** By length; what stays as it was keeps its age. */
export function announce(
  before: readonly Announcement[],
  refusedBefore: readonly RefusedAnnouncement[],
  { wishes, verdicts, now, additive, damped }: Registration,
): Pick<BindingRecord, 'announcements' | 'refused'> {
  const known = new Map(before.map((one) => [one.prefix, one]));
  const knownRefused = new Map(refusedBefore.map((one) => [one.prefix, one]));
  const announcements = new Map(additive ? known : []);
  const refused = new Map([...knownRefused].filter(([prefix, one]) => additive || (one.damped && damped.has(prefix))));
  for (const [index, wish] of wishes.entries()) {
    if (wish?.prefix === undefined) continue;
    const { prefix, preference } = wish;
    const reason = verdicts[index]?.reason;
    announcements.delete(prefix);
    refused.delete(prefix);
    if (reason === undefined) {
      const old = known.get(prefix);
      announcements.set(prefix, old?.preference === preference ? old : { prefix, preference, since: now });
    } else {
      const old = knownRefused.get(prefix);
      const held = damped.has(prefix) && reason === flapping;
      const same = old?.reason === reason && (held || old.preference === preference);
      refused.set(prefix, same ? old : { prefix, preference, since: now, reason, ...(held && { damped: true }) });
    }
  }
  return {
    announcements: [...announcements.values()].sort(byLength),
    refused: [...refused.values()].sort(byLength).slice(0, mostRefused),
  };
}

function byLength(a: Announcement, b: Announcement): number {
  return lengthOf(a.prefix) - lengthOf(b.prefix) || (a.prefix < b.prefix ? -1 : 1);
}
