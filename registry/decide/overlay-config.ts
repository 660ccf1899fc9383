import { comparePrefixes, containsPrefix, type Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { HubConfig, OverlayConfig } from '#proto/model/session.ts';
import { hubsOf, multipointOf } from './node.ts';
import type { NodeRecord, OverlayRecord } from './records.ts';
import type { Snapshot } from './state.ts';

/** What is the same for all nodes; made once per change. */
export interface CommonConfig {
  readonly overlay: OverlayRecord;
  readonly hubs: readonly HubConfig[];
  /** Pools and configured summaries. */
  readonly fixed: readonly Prefix[];
  /** Announced prefixes that go to every node beside those. */
  readonly announced: readonly { readonly prefix: Prefix; readonly node: NodeId }[];
}

export function commonConfig(snapshot: Snapshot, overlay: OverlayRecord): CommonConfig {
  const fixed = [overlay.pool, overlay.pool6, ...overlay.summaries].filter((one) => one !== undefined);
  // Phase 2 gives every prefix to every spoke.
  const covered = (prefix: Prefix): boolean => overlay.phase !== 2 && fixed.some((one) => containsPrefix(one, prefix));
  const announced = [...snapshot.bindings.values()].flatMap(({ node, prefixes }) =>
    prefixes.filter((prefix) => !covered(prefix)).map((prefix) => ({ prefix, node })),
  );
  const hubs = hubsOf(snapshot).map((hub) => hubConfig(snapshot, hub));
  return { overlay, hubs, fixed, announced };
}

/** What one node needs to know of its overlay: no summary is its own prefix, no hub itself. */
export function overlayConfig(common: CommonConfig, node: NodeRecord): OverlayConfig {
  const { overlay } = common;
  const own = new Set(node.prefixes);
  const others = common.announced.filter((one) => one.node !== node.id).map((one) => one.prefix);
  return {
    overlay: overlay.name,
    phase: overlay.phase,
    summaries: [...new Set([...common.fixed, ...others])].filter((one) => !own.has(one)).sort(comparePrefixes),
    linkPrefix: overlay.linkPrefix,
    hubs: common.hubs.filter((hub) => hub.node !== node.id),
    holdingTime: overlay.holdingTime,
    negativeHoldingTime: overlay.negativeHoldingTime,
    idleTimeout: overlay.idleTimeout,
    bfdInterval: overlay.bfdInterval,
    bfdMultiplier: overlay.bfdMultiplier,
    mtu: overlay.mtu,
    maxConnections: overlay.maxConnections,
    fallbackTime: overlay.fallbackTime,
    address: node.address,
    address6: node.address6,
    prefixes: node.prefixes,
  };
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
    cluster: hub.cluster,
    prefixes: binding?.prefixes ?? [],
  };
}
