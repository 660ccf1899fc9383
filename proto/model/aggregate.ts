import { familyOf, lengthOf, networkOf, type Prefix, prefixOf } from './address.ts';

/** Default routes by their halves stay what they are. */
const widest = 2;

/** The same addresses in as few prefixes as there can be, those of one length together, the longest first. */
export function aggregate(prefixes: Iterable<Prefix>): Prefix[] {
  const byLength = new Map<number, Set<Prefix>>();
  for (const prefix of prefixes) setOf(byLength, lengthOf(prefix)).add(prefix);
  const done: Prefix[] = [];
  for (let length = Math.max(0, ...byLength.keys()); length >= widest; length--) {
    // A length that had none may have got some by now.
    const own = byLength.get(length);
    if (!own) continue;
    const shorter = [...byLength].filter(([other, set]) => other < length && other >= widest && set.size > 0);
    const halves = new Map<Prefix, Prefix>();
    for (const prefix of own) {
      const network = networkOf(prefix);
      if (shorter.some(([other, set]) => set.has(prefixOf(network, other)))) continue;
      const around = prefixOf(network, length - 1);
      if (length === widest || !halves.has(around)) halves.set(length === widest ? prefix : around, prefix);
      else {
        halves.delete(around);
        setOf(byLength, length - 1).add(around);
      }
    }
    done.push(...halves.values());
  }
  for (const [length, set] of byLength) if (length < widest) done.push(...set);
  return done.sort((a, b) => familyOf(a) - familyOf(b));
}

function setOf(byLength: Map<number, Set<Prefix>>, length: number): Set<Prefix> {
  const known = byLength.get(length);
  if (known) return known;
  const fresh = new Set<Prefix>();
  byLength.set(length, fresh);
  return fresh;
}
