import { type Address, addressBits, familyOf, lengthOf, type Prefix, prefixOf } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { chosenOf, type View } from './rib.ts';
import type { Snapshot } from './state.ts';

export interface Scope {
  readonly node: NodeId;
  readonly prefix: Prefix;
}

/**
 * The widest prefix around `target` whose every address is routed to the same node as `target`, and that a route of that node
 * covers with no other node's route between it and `target`: what a resolution reply may claim (RFC 2332 5.2.2), and never wider
 * than the route that it stands for. Undefined without a route. It costs the length of a prefix.
 */
export function scopeOf(snapshot: Snapshot, target: Address, view: View): Scope | undefined {
  const { routes } = snapshot;
  let node: NodeId | undefined;
  let reached = 0;
  let widest = 0;
  for (const route of routes.covering(target).reverse()) {
    const chosen = chosenOf(snapshot, route, view);
    if (node === undefined) {
      if (chosen === undefined) continue;
      node = chosen;
      reached = lengthOf(route.prefix);
    } else if (chosen !== node) break;
    // Never of length 0, which NHRP cannot say.
    widest = Math.max(1, lengthOf(route.prefix));
  }
  if (node === undefined) return undefined;
  // And longer than what it shares with any other node's route inside, or it would contain that route.
  const length = Math.max(widest, routes.sharedWithOthers(node, target, widest, reached) + 1);
  return { node, prefix: prefixOf(target, Math.min(addressBits(familyOf(target)), length)) };
}

/** Whose an address is: of all prefixes that a node registered or may announce, the longest around it says. */
export function holdersOf(snapshot: Snapshot, address: Address): readonly NodeId[] {
  const own = snapshot.claimedAddresses.get(address);
  if (own !== undefined) return [own];
  const route = snapshot.routes.covering(address).at(-1);
  const least = route ? lengthOf(route.prefix) : -1;
  for (let length = addressBits(familyOf(address)); length > least; length--) {
    const claimant = snapshot.claimedPrefixes.get(prefixOf(address, length));
    if (claimant !== undefined) return [claimant];
  }
  return route?.candidates.map(({ node }) => node) ?? [];
}
