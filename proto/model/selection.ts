// Which of the nodes that announce a prefix gets its traffic. One rule for the registry, the agent and those who explain it.
import type { NodeId } from './names.ts';

/** One of those that announce a prefix, as who chooses sees it. */
export interface Contender {
  readonly node: NodeId;
  /** 255 best, 0 unspecified (RFC 2332 5.2.0.1). */
  readonly preference: number;
  /** How well it can be reached: higher is better, 0 not at all. */
  readonly standing: number;
}

/** What set the chosen ones apart from the next one. */
export type SelectionRule = 'none' | 'only' | 'standing' | 'preference' | 'equal-cost';

export interface Selection<C extends Contender> {
  /** Equally good, by node id; empty if nobody can be reached. */
  readonly best: readonly C[];
  /** Reachable and worse, the next one first. */
  readonly backups: readonly C[];
  readonly rule: SelectionRule;
}

/** Reachable ones, by standing, then by preference; what is equal in both shares the traffic. */
export function select<C extends Contender>(contenders: readonly C[]): Selection<C> {
  const ranked = contenders.length === 1 ? [...contenders] : [...contenders].sort(compareContenders);
  while (ranked.at(-1)?.standing === 0) ranked.pop();
  const first = ranked[0];
  if (!first) return { best: [], backups: [], rule: 'none' };
  const equals = ranked.filter((one) => one.standing === first.standing && one.preference === first.preference);
  const backups = ranked.slice(equals.length);
  const next = backups[0];
  const rule =
    equals.length > 1 ? 'equal-cost' : !next ? 'only' : next.standing < first.standing ? 'standing' : 'preference';
  return { best: equals, backups, rule };
}

export function compareContenders(a: Contender, b: Contender): number {
  return b.standing - a.standing || b.preference - a.preference || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0);
}

/**
 * The one of equally good nodes that `asker` uses, by the highest hash of both: the same whoever computes it, and a node that comes
 * or goes moves its own share alone.
 */
export function shareOf<C extends Contender>(asker: string, best: readonly C[]): C | undefined {
  let chosen = best[0];
  if (best.length < 2 || !chosen) return chosen;
  let highest = -1;
  for (const one of best) {
    const weight = hash(`${asker} ${one.node}`);
    if (weight <= highest) continue;
    highest = weight;
    chosen = one;
  }
  return chosen;
}

/** FNV-1a, 32 bits, mixed once more, as node ids differ little. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  value = Math.imul(value ^ (value >>> 12), 0x297a2d39);
  return (value ^ (value >>> 15)) >>> 0;
}
