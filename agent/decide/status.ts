// What the agent shows of its state: the JSON of `dmwg status`. Field names are an interface to scripts.
import { comparePrefixes, familyOf } from '#proto/model/address.ts';
import type { NhrpCounters } from '#proto/model/nhrp-counters.ts';
import type { Instant } from '#proto/model/time.ts';
import { type CacheEntry, cacheOf } from './cache.ts';
import { carryingHubs } from './load-sharing.ts';
import { isPoorHub } from './quality.ts';
import { measuredOf, type Readings } from './readings.ts';
import { registryStatus, type RegistryStatus } from './registry-status.ts';
import { type PeerStatus, peerStatus } from './status-peers.ts';
import { uplinkFaults, type UplinkStatus, uplinkStatus } from './uplink-status.ts';
import { routingFaults, type RoutingStatus, routingStatus } from './routing-status.ts';
import { type AgentState, type HubPath, isOpen, multipointName, type Shortcut } from './state.ts';

export interface Status {
  readonly node: string;
  readonly id: string;
  readonly role: string;
  readonly overlay: string | null;
  readonly phase: number | null;
  readonly address: string | null;
  readonly address6: string | null;
  readonly prefixes: readonly string[];
  readonly revoked: string | null;
  readonly registry: RegistryStatus;
  readonly registration: { readonly observedEndpoint: string | null; readonly refused: readonly string[] };
  readonly hubs: readonly HubStatus[];
  /** As in agent.yaml. */
  readonly uplinks: readonly UplinkStatus[];
  readonly peers: readonly PeerStatus[];
  readonly shortcuts: readonly ShortcutStatus[];
  /** All that is known, asked or refused of any prefix. */
  readonly cache: readonly CacheEntry[];
  readonly interfaces: readonly InterfaceStatus[];
  readonly routing: RoutingStatus;
  readonly faults: readonly string[];
  readonly counters: NhrpCounters;
}

export interface HubStatus {
  readonly node: string;
  readonly address: string;
  readonly priority: number;
  readonly cluster: number;
  /** Connected; a tunnel that is tried or waits for the fallback time; no tunnel. */
  readonly state: 'up' | 'probe' | 'down';
  readonly active: boolean;
  readonly rttMs: number | null;
  /** Percent of packets there and back; null while not known. */
  readonly loss: number | null;
  /** Lossy or slow: others come before it. */
  readonly poor: boolean;
  /** By which its packets leave; null: as the host's routes say. */
  readonly uplink: string | null;
  readonly interface: string;
  /** Where its packets go; null until it has registered once. */
  readonly endpoint: string | null;
  /** Seconds since it came up or went down. */
  readonly age: number;
}

export interface ShortcutStatus {
  readonly prefix: string;
  readonly node: string;
  /** The next hop: the node's own. */
  readonly address: string | null;
  readonly endpoint: string | null;
  readonly interface: string;
  readonly nat: boolean;
  /** Seconds since it was learned. */
  readonly age: number;
  /** Seconds. */
  readonly expiresIn: number;
}

export interface InterfaceStatus {
  readonly name: string;
  readonly kind: string;
  readonly publicKey: string | null;
  readonly listenPort: number;
}

export function statusOf(state: AgentState, readings: Readings, now: Instant): Status {
  const { self, config, registration } = state;
  return {
    node: self.name,
    id: self.node,
    role: self.role,
    overlay: config?.overlay ?? null,
    phase: config?.phase ?? null,
    address: config?.address ?? null,
    address6: config?.address6 ?? null,
    prefixes: config?.prefixes ?? [],
    revoked: state.revoked ?? null,
    registry: registryStatus(state, readings.registries, now),
    registration: { observedEndpoint: registration.observedEndpoint ?? null, refused: registration.refused },
    hubs: [...state.hubs.values()].map((path) => hubStatus(state, path, readings, now)),
    uplinks: uplinkStatus(state, readings.paths),
    peers: peerStatus(state, readings),
    shortcuts: [...state.shortcuts.values()]
      .filter((shortcut) => state.remotes.get(shortcut.node)?.phase === 'direct')
      .sort((a, b) => comparePrefixes(a.prefix, b.prefix))
      .map((shortcut) => shortcutStatus(state, shortcut, readings, now)),
    cache: cacheOf(state, readings.endpoints, now),
    interfaces: [...state.interfaces.values()]
      .filter((own) => isOpen(state, own))
      .map((own) => ({
        name: own.name,
        kind: own.kind,
        publicKey: own.publicKey ?? null,
        listenPort: own.listenPort,
      })),
    routing: routingStatus(state),
    faults: [...readings.faults, ...routingFaults(state), ...uplinkFaults(state)],
    counters: readings.counters,
  };
}

const hubStates = { connected: 'up', probed: 'probe', none: 'down' } as const;

function hubStatus(state: AgentState, path: HubPath, readings: Readings, now: Instant): HubStatus {
  return {
    node: path.hub.name,
    address: path.hub.address,
    priority: path.hub.priority,
    cluster: path.hub.cluster,
    state: hubStates[path.place],
    active: carryingHubs(state).includes(path),
    ...measuredOf(readings, `hub:${path.hub.node}`),
    poor: isPoorHub(state, path),
    uplink: state.uplinks.places.get(path.interface)?.uplink ?? null,
    interface: path.interface,
    endpoint: path.hub.endpoints[0] ?? null,
    age: Math.max(0, Math.round((now - path.since) / 1000)),
  };
}

function shortcutStatus(state: AgentState, shortcut: Shortcut, readings: Readings, now: Instant): ShortcutStatus {
  const target = state.remotes.get(shortcut.node)?.target;
  return {
    prefix: shortcut.prefix,
    node: target?.name ?? shortcut.node,
    address: (familyOf(shortcut.destination) === 6 ? target?.address6 : undefined) ?? target?.address ?? null,
    endpoint: (target && readings.endpoints.get(target.publicKey)) ?? null,
    interface: multipointName(state.self),
    nat: target?.nat ?? false,
    age: Math.max(0, Math.round((now - shortcut.createdAt) / 1000)),
    expiresIn: Math.max(0, Math.round((shortcut.expiresAt - now) / 1000)),
  };
}
