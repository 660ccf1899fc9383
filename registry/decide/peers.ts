import type { NodeId } from '#proto/model/names.ts';
import type { HubPeer } from '#proto/model/session.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { sameValue } from './equal.ts';
import { liveBinding } from './node.ts';
import type { NodeRecord } from './records.ts';
import type { Snapshot } from './state.ts';

export interface PeerDelta {
  readonly upsert: readonly HubPeer[];
  readonly remove: readonly NodeId[];
}

/** The spokes that a hub must know, with only those interfaces that meet this hub: not the tunnels to other hubs. */
export function peersOf(snapshot: Snapshot, hub: NodeRecord, now: Timestamp): Map<NodeId, HubPeer> {
  const peers = new Map<NodeId, HubPeer>();
  for (const node of snapshot.nodes.values()) {
    const peer = hub.role === 'hub' ? peerOf(snapshot, hub.id, node, now) : undefined;
    if (peer) peers.set(node.id, peer);
  }
  return peers;
}

/** Spokes that are known not to be peers: shut out, gone, or without a binding. */
export function noPeers(snapshot: Snapshot, peers: ReadonlyMap<NodeId, HubPeer>): NodeId[] {
  const spokes = [...snapshot.nodes.values()].filter(({ role }) => role === 'spoke').map(({ id }) => id);
  return [...snapshot.revoked.keys(), ...spokes].filter((id) => !peers.has(id));
}

/** One spoke as the hub must know it; undefined when it need not. */
export function peerOf(snapshot: Snapshot, hub: NodeId, node: NodeRecord, now: Timestamp): HubPeer | undefined {
  const binding = liveBinding(snapshot, node.id, now);
  if (node.role === 'hub' || !binding) return undefined;
  const interfaces = binding.interfaces.filter((one) => one.kind !== 'hub-tunnel' || one.hub === hub);
  if (interfaces.length === 0) return undefined;
  const { id, name, address, address6 } = node;
  return { node: id, name, address, address6, interfaces };
}

/**
 * What a hub that has the peers `before` must learn of the nodes that may have changed; it costs what `ids` are. A peer whose node
 * is missing without a revocation stays, as the registry may have lost its data, until another node has something of it: ask
 * for the missing ones again with every change.
 */
export function peerDelta(
  before: ReadonlyMap<NodeId, HubPeer>,
  snapshot: Snapshot,
  hub: NodeRecord,
  now: Timestamp,
  ids: Iterable<NodeId>,
): PeerDelta {
  const upsert: HubPeer[] = [];
  const remove: NodeId[] = [];
  for (const id of ids) {
    const node = snapshot.nodes.get(id);
    const known = before.get(id);
    const peer = node && peerOf(snapshot, hub.id, node, now);
    if (peer && !sameValue(known, peer)) upsert.push(peer);
    const stays = peer ?? (!node && known && !snapshot.revoked.has(id) && !isReplaced(snapshot, known));
    if (known && !stays) remove.push(id);
  }
  return { upsert, remove };
}

/** Whether others have by now what this missing node had. */
function isReplaced(snapshot: Snapshot, { node, address, address6, interfaces }: HubPeer): boolean {
  const owners = [
    snapshot.claimedAddresses.get(address),
    address6 && snapshot.claimedAddresses.get(address6),
    ...interfaces.map((one) => snapshot.nodeByKey.get(one.publicKey)),
  ];
  return owners.some((owner) => owner !== undefined && owner !== node);
}
