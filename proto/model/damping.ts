// Damping of routes that flap (RFC 2439): every withdrawal is a penalty that halves with time; over a limit the prefix is not
// announced until the penalty is low again. Far quicker than BGP's, as one node's flapping concerns the whole overlay at once. The
// node that announces does it, and the registry for those that do not.
import type { Instant } from './time.ts';

export interface Flap {
  readonly penalty: number;
  /** When that was the penalty. */
  readonly at: Instant;
  readonly damped: boolean;
}

const perWithdrawal = 1000;
/**
 * Over it a prefix is held back: at a node, the fourth withdrawal in quick succession is one too many. The registry allows what a
 * node does that damps by itself.
 */
export const suppressAt = { node: 3000, registry: 5000 } as const;
const reuse = 1000;
/** Nothing is held back for longer than 26 s after its last withdrawal. */
const most = 6000;
const halfLifeMs = 10_000;

export interface Withdrawal {
  readonly now: Instant;
  /** [0, 1). It keeps two nodes that announce the same prefix from flapping against each other in step. */
  readonly random: () => number;
  readonly suppress: number;
}

export function withdrawn(flap: Flap | undefined, { now, random, suppress }: Withdrawal): Flap {
  const penalty = Math.min(most, (flap ? penaltyAt(flap, now) : 0) + perWithdrawal * (0.9 + random() / 5));
  return { penalty, at: now, damped: penalty > suppress || (flap !== undefined && isDamped(flap, now)) };
}

export function isDamped(flap: Flap, now: Instant): boolean {
  return flap.damped && penaltyAt(flap, now) > reuse;
}

/** Undefined if it is not damped. */
export function reuseAt(flap: Flap, now: Instant): Instant | undefined {
  if (!isDamped(flap, now)) return undefined;
  return Math.ceil(flap.at + halfLifeMs * Math.log2(flap.penalty / reuse)) as Instant;
}

/** Nothing worth remembering is left of it. */
export function settled(flap: Flap, now: Instant): boolean {
  return penaltyAt(flap, now) < reuse / 4;
}

function penaltyAt(flap: Flap, now: Instant): number {
  return flap.penalty / 2 ** ((now - flap.at) / halfLifeMs);
}
