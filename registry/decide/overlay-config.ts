import { comparePrefixes, containsPrefix, type Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { HubConfig, OverlayConfig, RegistryEndpoint } from '#proto/model/session.ts';
import { sameValue } from './equal.ts';
import { hubsOf, multipointOf } from './node.ts';
import type { BindingRecord, NodeRecord, OverlayRecord } from './records.ts';
import type { Snapshot } from './state.ts';

/** What is the same for all nodes; made once per change. */
export interface CommonConfig {
  readonly overlay: OverlayRecord;
  readonly hubs: readonly HubConfig[];
  readonly registries: readonly RegistryEndpoint[];
  /** Pools, configured summaries (without a node) and the announced prefixes that those do not cover, sorted. */
  readonly summaries: readonly { readonly prefix: Prefix; readonly node: NodeId | undefined }[];
  /** Announced prefixes that go to every node. */
  readonly uncovered: ReadonlyMap<NodeId, readonly Prefix[]>;
}

export function commonConfig(snapshot: Snapshot, overlay: OverlayRecord): CommonConfig {
  const uncovered = new Map<NodeId, readonly Prefix[]>();
  for (const [node, binding] of snapshot.bindings) {
    const prefixes = uncoveredBy(overlay, binding);
    if (prefixes.length > 0) uncovered.set(node, prefixes);
  }
  const summaries = [
    ...fixedSummaries(overlay).map((prefix) => ({ prefix, node: undefined })),
    ...[...uncovered].flatMap(([node, prefixes]) => prefixes.map((prefix) => ({ prefix, node }))),
  ].sort((a, b) => comparePrefixes(a.prefix, b.prefix));
  return {
    overlay,
    hubs: hubsOf(snapshot).map((hub) => hubConfig(snapshot, hub)),
    registries: registriesOf(snapshot),
    summaries,
    uncovered,
  };
}

/** Whether what is the same for all may be other than `common` after a change of this node or its binding. */
export function concernsAll(common: CommonConfig, snapshot: Snapshot, id: NodeId): boolean {
  if (snapshot.nodes.get(id)?.role === 'hub' || common.hubs.some((hub) => hub.node === id)) return true;
  const binding = snapshot.bindings.get(id);
  return !sameValue(binding ? uncoveredBy(common.overlay, binding) : [], common.uncovered.get(id) ?? []);
}

function fixedSummaries(overlay: OverlayRecord): Prefix[] {
  return [overlay.pool, overlay.pool6, ...overlay.summaries].filter((one) => one !== undefined);
}

/** Phase 2 gives every prefix to every spoke. */
function uncoveredBy(overlay: OverlayRecord, { prefixes }: BindingRecord): readonly Prefix[] {
  if (overlay.phase === 2 || prefixes.length === 0) return prefixes;
  const fixed = fixedSummaries(overlay);
  return prefixes.filter((prefix) => !fixed.some((one) => containsPrefix(one, prefix)));
}

/** What one node needs to know of its overlay: no summary is its own prefix, no hub itself. */
export function overlayConfig(common: CommonConfig, node: NodeRecord): OverlayConfig {
  const { overlay } = common;
  const own = new Set(node.prefixes);
  const summaries = new Set<Prefix>();
  for (const one of common.summaries) if (one.node !== node.id && !own.has(one.prefix)) summaries.add(one.prefix);
  return {
    overlay: overlay.name,
    phase: overlay.phase,
    summaries: [...summaries],
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
    registries: common.registries,
    address: node.address,
    address6: node.address6,
    prefixes: node.prefixes,
  };
}

/** Of the replicas that run, best first. One that was started again may be there twice for some seconds. */
function registriesOf(snapshot: Snapshot): RegistryEndpoint[] {
  const found = new Map<string, RegistryEndpoint>();
  const known = [...snapshot.replicas.values()].flatMap((replica) => replica.public ?? []);
  for (const one of known.sort(
    (a, b) => a.cluster - b.cluster || a.priority - b.priority || (a.address < b.address ? -1 : 1),
  ))
    if (!found.has(one.address)) found.set(one.address, one);
  return [...found.values()];
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
