import { endpointAddress } from '#proto/model/endpoint.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { NodeInterface } from '#proto/model/nhrp.ts';
import type { ObservedEndpoint } from '#proto/model/session.ts';
import { transaction } from './node.ts';
import type { BindingRecord, NodeRecord, ObservedRecord } from './records.ts';
import type { Snapshot, Transaction } from './state.ts';

/**
 * Where a hub sees its peers: one transaction per node whose endpoints are news. Only hubs may say, and only about
 * multipoint interfaces and hub tunnels that end at that hub; anything else is ignored.
 */
export function observe(snapshot: Snapshot, hub: NodeRecord, endpoints: readonly ObservedEndpoint[]): Transaction[] {
  if (hub.role !== 'hub') return [];
  const changed = new Map<NodeId, BindingRecord>();
  for (const seen of endpoints) {
    const node = snapshot.nodeByKey.get(seen.publicKey);
    const binding = node === undefined ? undefined : (changed.get(node) ?? snapshot.bindings.get(node));
    if (!binding || binding.node === hub.id || !reaches(binding, hub.id, seen)) continue;
    const known = binding.observed.find((one) => one.publicKey === seen.publicKey && one.hub === hub.id);
    if (known?.endpoint === seen.endpoint) continue;
    const record: ObservedRecord = { publicKey: seen.publicKey, endpoint: seen.endpoint, hub: hub.id };
    const others = binding.observed.filter((one) => one !== known && snapshot.nodes.has(one.hub));
    changed.set(binding.node, { ...binding, observed: [record, ...others] });
  }
  return [...changed.values()].map((record) =>
    transaction({ unchanged: [{ kind: 'binding', id: record.node }], put: [{ kind: 'binding', record }] }),
  );
}

function reaches(binding: BindingRecord, hub: NodeId, seen: ObservedEndpoint): boolean {
  const found = binding.interfaces.find((one) => one.publicKey === seen.publicKey);
  return found !== undefined && (found.kind === 'multipoint' || found.hub === hub);
}

/** Where hubs see these interfaces, by what they said before: not at an address of the node itself that it has no longer. */
export function stillSeen(
  previous: BindingRecord | undefined,
  interfaces: readonly NodeInterface[],
): readonly ObservedRecord[] {
  const has = (all: readonly NodeInterface[], { publicKey, endpoint }: ObservedRecord): boolean => {
    const own = all.find((one) => one.publicKey === publicKey)?.endpoints ?? [];
    return own.some((one) => endpointAddress(one) === endpointAddress(endpoint));
  };
  return (previous?.observed ?? []).filter((one) => {
    const left = has(previous?.interfaces ?? [], one) && !has(interfaces, one);
    return interfaces.some(({ publicKey }) => publicKey === one.publicKey) && !left;
  });
}
