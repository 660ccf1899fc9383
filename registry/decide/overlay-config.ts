import { comparePrefixes, type Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { HubConfig, OverlayConfig, RegistryEndpoint } from '#proto/model/session.ts';
import { sameValue } from './equal.ts';
import { allowedBy, hubsOf, multipointOf } from './node.ts';
import type { NodeRecord, OverlayRecord } from './records.ts';
import type { Snapshot } from './state.ts';

/** What is the same for all nodes; made once per change. */
export interface CommonConfig {
  readonly overlay: OverlayRecord;
  readonly hubs: readonly HubConfig[];
  /** The tunnels from hub to hub. */
  readonly backbone: readonly HubTunnel[];
  readonly registries: readonly RegistryEndpoint[];
  /** Pools and configured summaries, sorted. */
  readonly summaries: readonly Prefix[];
}

/** One hub's end of its tunnel to another one. */
interface HubTunnel extends Pick<HubConfig, 'publicKey' | 'endpoints'> {
  readonly hub: NodeId;
  readonly to: NodeId;
}

export function commonConfig(snapshot: Snapshot, overlay: OverlayRecord): CommonConfig {
  return {
    overlay,
    hubs: hubsOf(snapshot).map((hub) => hubConfig(snapshot, hub)),
    backbone: hubsOf(snapshot).flatMap((hub) => hubTunnels(snapshot, hub)),
    registries: registriesOf(snapshot),
    summaries: [...new Set(summariesOf(overlay))].sort(comparePrefixes),
  };
}

/** Whether what is the same for all may be other than `common` after a change of this node or its binding. */
export function concernsAll(common: CommonConfig, snapshot: Snapshot, id: NodeId): boolean {
  const node = snapshot.nodes.get(id);
  if (node?.role !== 'hub') return common.hubs.some((hub) => hub.node === id);
  const told = common.hubs.find((hub) => hub.node === id);
  const tunnels = common.backbone.filter(({ hub }) => hub === id);
  return !sameValue(hubConfig(snapshot, node), told) || !sameValue(hubTunnels(snapshot, node), tunnels);
}

/** What spokes send to their hubs without knowing more. */
export function summariesOf(overlay: OverlayRecord): Prefix[] {
  return [overlay.pool, overlay.pool6, ...overlay.summaries].filter((one) => one !== undefined);
}

/** What one node needs to know of its overlay: no summary is its own prefix, no hub itself. */
export function overlayConfig(common: CommonConfig, node: NodeRecord): OverlayConfig {
  const { overlay } = common;
  const own = new Set(node.prefixes);
  return {
    overlay: overlay.name,
    phase: overlay.phase,
    summaries: common.summaries.filter((one) => !own.has(one)),
    linkPrefix: overlay.linkPrefix,
    hubs: hubsFor(common, node),
    holdingTime: overlay.holdingTime,
    negativeHoldingTime: overlay.negativeHoldingTime,
    idleTimeout: overlay.idleTimeout,
    bfdInterval: overlay.bfdInterval,
    bfdMultiplier: overlay.bfdMultiplier,
    mtu: overlay.mtu,
    maxConnections: overlay.maxConnections,
    fallbackTime: overlay.fallbackTime,
    registries: common.registries,
    takesAdditive: true,
    address: node.address,
    address6: node.address6,
    prefixes: [...new Set([...node.prefixes, ...allowedBy(node)])],
  };
}

/** Spokes reach a hub at its multipoint interface, other hubs by a tunnel that each of both has for the other. */
function hubsFor({ hubs, backbone }: CommonConfig, node: NodeRecord): HubConfig[] {
  const others = hubs.filter((hub) => hub.node !== node.id);
  if (node.role !== 'hub') return others;
  return others.map((hub) => {
    const tunnel = backbone.find((one) => one.hub === hub.node && one.to === node.id);
    return { ...hub, publicKey: tunnel?.publicKey, endpoints: tunnel?.endpoints ?? [] };
  });
}

function hubTunnels(snapshot: Snapshot, hub: NodeRecord): HubTunnel[] {
  return (snapshot.bindings.get(hub.id)?.interfaces ?? []).flatMap(({ kind, hub: to, publicKey, endpoints }) => {
    return kind === 'hub-tunnel' && to !== undefined ? [{ hub: hub.id, to, publicKey, endpoints }] : [];
  });
}

/** Of the replicas that run, best first. One that was started again may be there twice for some seconds. */
function registriesOf(snapshot: Snapshot): RegistryEndpoint[] {
  const found = new Map<string, RegistryEndpoint>();
  const known = [...snapshot.replicas.values()].flatMap((replica) =>
    replica.draining === true ? [] : (replica.public ?? []),
  );
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
    draining: hub.draining,
  };
}
