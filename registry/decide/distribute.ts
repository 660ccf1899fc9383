// What nodes are told of the routes: a hub everything, a spoke what it cannot know from the summaries.
import { containsPrefix, isHostPrefix, lengthOf, networkOf, type Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { LearnedRoute, RouteOrigin } from '#proto/model/route.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { summariesOf } from './overlay-config.ts';
import { ranked } from './rib.ts';
import type { Snapshot } from './state.ts';

/** What one message names, of the best. */
const mostOrigins = 16;

/**
 * Who announces a prefix, best first. A node that is missing without a revocation stays among them as `before` had it, if nobody
 * else is there: the registry may have lost its data, and what works goes on. Undefined: nobody, or it is a node's own address.
 */
export function distributed(
  snapshot: Snapshot,
  prefix: Prefix,
  now: Timestamp,
  before: LearnedRoute | undefined,
): LearnedRoute | undefined {
  if (isNodeAddress(snapshot, prefix)) return undefined;
  const candidates = ranked(snapshot, snapshot.routes.candidates(prefix), now);
  const origins = candidates.flatMap(({ node, preference }): RouteOrigin[] => {
    const record = snapshot.nodes.get(node);
    if (!record) return [];
    const { name, address } = record;
    return [lengthOf(prefix) <= 1 ? { node, name, preference, address } : { node, name, preference }];
  });
  const known = origins.length > 0 ? origins : (before?.origins ?? []).filter(({ node }) => isMissing(snapshot, node));
  return known.length > 0 ? { prefix, origins: known.slice(0, mostOrigins) } : undefined;
}

/** Whether spokes must know a route: the summaries lead to the hub that they use, and not to another one. */
export function concernsSpokes(snapshot: Snapshot, { prefix, origins }: LearnedRoute): boolean {
  const { overlay } = snapshot;
  if (!overlay) return false;
  if (overlay.phase === 2 || origins.some(({ node }) => snapshot.nodes.get(node)?.role === 'hub')) return true;
  return !summariesOf(overlay).some((summary) => containsPrefix(summary, prefix));
}

/** Nobody is told of what it announces itself, or may alone. */
export function isForeign(snapshot: Snapshot, node: NodeId, { prefix, origins }: LearnedRoute): boolean {
  return snapshot.claimedPrefixes.get(prefix) !== node && !origins.some((origin) => origin.node === node);
}

export function isMissing(snapshot: Snapshot, node: NodeId): boolean {
  return !snapshot.nodes.has(node) && !snapshot.revoked.has(node);
}

function isNodeAddress(snapshot: Snapshot, prefix: Prefix): boolean {
  if (!isHostPrefix(prefix)) return false;
  const address = networkOf(prefix);
  const isOwn = (id: NodeId): boolean => {
    const node = snapshot.nodes.get(id);
    return node?.address === address || node?.address6 === address;
  };
  return snapshot.claimedAddresses.has(address) || snapshot.routes.candidates(prefix).some(({ node }) => isOwn(node));
}
