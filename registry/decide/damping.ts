// What a node's prefixes did lately. A prefix that goes and comes too often is held back, whatever the node's agent does about it
// by itself, and costs nobody else anything meanwhile: what is stored stays as it is until the prefix is quiet.
import type { Prefix } from '#proto/model/address.ts';
import { type Flap, isDamped, settled, suppressAt, withdrawn } from '#proto/model/damping.ts';
import type { Instant, Timestamp } from '#proto/model/time.ts';
import { announce, review } from './announce.ts';
import { transaction } from './node.ts';
import type { Announcement, NodeRecord } from './records.ts';
import type { Snapshot, Transaction } from './state.ts';

export interface PrefixFlap extends Flap {
  /** The preference with which the node wants to announce it now; undefined: it does not. */
  readonly asked: number | undefined;
}

/** Of one node. What is not in it has not flapped, or is quiet again. */
export type Flaps = ReadonlyMap<Prefix, PrefixFlap>;

export const noFlaps: Flaps = new Map();

/** The state of a node's prefixes before a request, and the moment of it. */
export interface Damping {
  readonly flaps: Flaps;
  readonly now: Instant;
  /** [0, 1). */
  readonly random: () => number;
}

/**
 * A prefix that goes, or gets another preference, flaps. `asked` says with which preference a prefix is wanted from now on, from
 * that with which it was.
 */
export function flapped(
  { flaps, now, random }: Damping,
  announcements: readonly Announcement[],
  asked: (prefix: Prefix, before: number | undefined) => number | undefined,
): Flaps {
  const withdrawal = { now, random, suppress: suppressAt.registry };
  const next = new Map<Prefix, PrefixFlap>();
  for (const [prefix, flap] of flaps) {
    const wanted = asked(prefix, flap.asked);
    const flaps = flap.asked !== undefined && flap.asked !== wanted;
    if (flaps) next.set(prefix, { ...withdrawn(flap, withdrawal), asked: wanted });
    else if (!settled(flap, now)) next.set(prefix, { ...flap, asked: wanted });
  }
  for (const { prefix, preference } of announcements) {
    const wanted = flaps.has(prefix) ? preference : asked(prefix, preference);
    if (wanted !== preference) next.set(prefix, { ...withdrawn(undefined, withdrawal), asked: wanted });
  }
  return next;
}

export function dampedOf(flaps: Flaps, now: Instant): ReadonlySet<Prefix> {
  return new Set([...flaps].filter(([, flap]) => isDamped(flap, now)).map(([prefix]) => prefix));
}

/** Without what is quiet. */
export function remembered(flaps: Flaps, now: Instant): Flaps {
  return new Map([...flaps].filter(([, flap]) => !settled(flap, now)));
}

/** Announces what was held back, is quiet, and still wanted. */
export function release(
  snapshot: Snapshot,
  node: NodeRecord,
  flaps: Flaps,
  { now, date }: { readonly now: Instant; readonly date: Timestamp },
): Transaction | undefined {
  const binding = snapshot.bindings.get(node.id);
  const damped = dampedOf(flaps, now);
  const due = (binding?.refused ?? []).filter((one) => one.damped === true && !damped.has(one.prefix));
  if (!binding || due.length === 0) return undefined;
  const limit = snapshot.overlay?.prefixLimit ?? 0;
  const wishes = due.flatMap(({ prefix, preference }) => {
    const flap = flaps.get(prefix);
    if (flap && flap.asked === undefined) return [];
    return [{ prefix, preference: flap?.asked ?? preference }];
  });
  const verdicts = review(snapshot, node, { wishes, kept: binding.announcements, limit, damped });
  const others = binding.refused.filter((one) => !due.includes(one));
  const next = announce(binding.announcements, others, { wishes, verdicts, now: date, additive: true, damped });
  return transaction({
    unchanged: [
      { kind: 'node', id: node.id },
      { kind: 'binding', id: node.id },
    ],
    put: [{ kind: 'binding', record: { ...binding, ...next } }],
  });
}
