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

/** The spokes that a hub must know, with only those interfaces that meet this hub: hub tunnels to it, and multipoint. */
export function peersOf(snapshot: Snapshot, hub: NodeRecord, now: Timestamp): Map<NodeId, HubPeer> {
  const peers = new Map<NodeId, HubPeer>();
  for (const node of snapshot.nodes.values()) {
    const peer = hub.role === 'hub' ? peerOf(snapshot, hub.id, node, now) : undefined;
    if (peer) peers.set(node.id, peer);
  }
  return peers;
}

/** One spoke as the hub must know it; undefined when it need not. */
export function peerOf(snapshot: Snapshot, hub: NodeId, node: NodeRecord, now: Timestamp): HubPeer | undefined {
  const binding = liveBinding(snapshot, node.id, now);
  if (node.role === 'hub' || !binding) return undefined;
  const interfaces = binding.interfaces.filter((one) => one.kind === 'multipoint' || one.hub === hub);
  if (interfaces.length === 0) return undefined;
  const { id, name, address, address6 } = node;
  return { node: id, name, address, address6, prefixes: binding.prefixes, interfaces };
}

export function peerDelta(before: ReadonlyMap<NodeId, HubPeer>, after: ReadonlyMap<NodeId, HubPeer>): PeerDelta {
  return {
    upsert: [...after.values()].filter((peer) => !sameValue(before.get(peer.node), peer)),
    remove: [...before.keys()].filter((id) => !after.has(id)),
  };
}
