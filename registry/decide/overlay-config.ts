import { comparePrefixes, containsPrefix, type Prefix } from '#proto/model/address.ts';
import type { HubConfig, OverlayConfig } from '#proto/model/session.ts';
import { hubsOf, multipointOf } from './node.ts';
import type { NodeRecord, OverlayRecord } from './records.ts';
import type { Snapshot } from './state.ts';

/** What a node needs to know of its overlay. */
export function overlayConfig(snapshot: Snapshot, overlay: OverlayRecord, node: NodeRecord): OverlayConfig {
  return {
    overlay: overlay.name,
    phase: overlay.phase,
    summaries: summariesFor(snapshot, overlay, node),
    linkPrefix: overlay.linkPrefix,
    hubs: hubsOf(snapshot)
      .filter((hub) => hub.id !== node.id)
      .map((hub) => hubConfig(snapshot, hub)),
    holdingTime: overlay.holdingTime,
    negativeHoldingTime: overlay.negativeHoldingTime,
    idleTimeout: overlay.idleTimeout,
    bfdInterval: overlay.bfdInterval,
    bfdMultiplier: overlay.bfdMultiplier,
    mtu: overlay.mtu,
    address: node.address,
    address6: node.address6,
    prefixes: node.prefixes,
  };
}

/** Pools, configured summaries, and announced prefixes that none of them covers; without the node's own. Phase 2: all. */
function summariesFor(snapshot: Snapshot, overlay: OverlayRecord, node: NodeRecord): Prefix[] {
  const fixed = [overlay.pool, overlay.pool6, ...overlay.summaries].filter((one) => one !== undefined);
  const summaries = new Set<Prefix>(fixed);
  for (const binding of snapshot.bindings.values()) {
    if (binding.node === node.id) continue;
    for (const prefix of binding.prefixes) {
      if (overlay.phase === 2 || !fixed.some((one) => containsPrefix(one, prefix))) summaries.add(prefix);
    }
  }
  const own = new Set([...node.prefixes, ...(snapshot.bindings.get(node.id)?.prefixes ?? [])]);
  return [...summaries].filter((one) => !own.has(one)).sort(comparePrefixes);
}

function hubConfig(snapshot: Snapshot, hub: NodeRecord): HubConfig {
  const binding = snapshot.bindings.get(hub.id);
  const multipoint = multipointOf(binding);
  return {
    node: hub.id,
    name: hub.name,
    address: hub.address,
    address6: hub.address6,
    publicKey: multipoint?.publicKey,
    endpoints: hub.endpoints.length > 0 ? hub.endpoints : (multipoint?.endpoints ?? []),
    priority: hub.priority,
    prefixes: binding?.prefixes ?? [],
  };
}
