import {
  type Address,
  addressBits,
  addressValue,
  familyOf,
  lengthOf,
  networkOf,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Snapshot } from './state.ts';

interface Numbered {
  readonly network: bigint;
  readonly length: number;
  readonly node: NodeId;
}

/** Routes as numbers, made once a snapshot. */
const numbered = new WeakMap<Snapshot, Record<4 | 6, Numbered[]>>();

/**
 * The widest prefix around `target` whose every address is routed to the same node as `target`, and that a route of that node
 * covers with no other node's route between it and `target`: what a resolution reply may claim (RFC 2332 5.2.2), and never wider
 * than the route that it stands for. Undefined without a route.
 */
export function scopeOf(
  snapshot: Snapshot,
  target: Address,
): { readonly node: NodeId; readonly prefix: Prefix } | undefined {
  const match = snapshot.routes.match(target);
  if (!match) return undefined;
  const family = familyOf(target);
  const bits = addressBits(family);
  // Never of length 0, which NHRP cannot say; not wider than the widest route of the node that no other node's route interrupts on the way to the target.
  let widest = Math.max(1, lengthOf(match.prefix));
  for (
    let up = snapshot.routes.parent(match.prefix);
    up?.value === match.value;
    up = snapshot.routes.parent(up.prefix)
  ) {
    widest = Math.max(1, lengthOf(up.prefix));
  }
  // And longer than what it shares with any other node's route inside, or it would contain that route.
  let least = widest;
  if (widest < bits) {
    const value = addressValue(target);
    const shift = BigInt(bits - widest);
    for (const route of routesOf(snapshot)[family]) {
      if (route.node === match.value || route.length < widest) continue;
      const difference = value ^ route.network;
      if (difference >> shift !== 0n) continue;
      least = Math.max(least, Math.min(route.length, sharedBits(difference, bits)) + 1);
    }
  }
  return { node: match.value, prefix: prefixOf(target, Math.min(bits, least)) };
}

/** Whose an address is: of all prefixes that a node registered or may announce, the longest around it says. */
export function holderOf(snapshot: Snapshot, address: Address): NodeId | undefined {
  const own = snapshot.claimedAddresses.get(address);
  if (own !== undefined) return own;
  const route = snapshot.routes.match(address);
  const least = route ? lengthOf(route.prefix) : -1;
  for (let length = addressBits(familyOf(address)); length > least; length--) {
    const claimant = snapshot.claimedPrefixes.get(prefixOf(address, length));
    if (claimant !== undefined) return claimant;
  }
  return route?.value;
}

function routesOf(snapshot: Snapshot): Record<4 | 6, Numbered[]> {
  const known = numbered.get(snapshot);
  if (known) return known;
  const routes: Record<4 | 6, Numbered[]> = { 4: [], 6: [] };
  for (const [prefix, node] of snapshot.routes.entries()) {
    routes[familyOf(prefix)].push({ network: addressValue(networkOf(prefix)), length: lengthOf(prefix), node });
  }
  numbered.set(snapshot, routes);
  return routes;
}

function sharedBits(difference: bigint, bits: number): number {
  return difference === 0n ? bits : bits - difference.toString(2).length;
}
