// Everything the agent knows and intends, as one value. `step` (step.ts) turns it into the next one, `desiredHost` and
// `desiredBfd` (desired.ts) say what the host should look like for it, `statusOf` (status.ts) what to show of it.
// Pure: imports proto/model only. Moments are on the clock that never jumps; nothing here is a wall-clock time.
import type { Address, Prefix } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId, NodeName, Role } from '#proto/model/names.ts';
import type { InterfaceKind, Target } from '#proto/model/nhrp.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import type { ExitConfig, RoutingConfig } from '#proto/model/routing.ts';
import type { HubConfig, OverlayConfig } from '#proto/model/session.ts';
import type { Instant } from '#proto/model/time.ts';
import type { QualityConfig } from '#proto/model/quality.ts';
import type { UplinkConfig } from '#proto/model/uplink.ts';
import type { RemotePhase, RendezvousProgress, Search } from './attempt.ts';
import { type HubState, initialHub } from './hub-state.ts';
import type { Verdict } from './quality-state.ts';
import type { Reception } from './reception.ts';
import { initialRegistration, type Registration } from './registration-state.ts';
import { initialRouting, type RoutingState } from './routing-state.ts';
import { initialUplinks, type UplinkState } from './uplink-state.ts';

/** What agent.yaml says. */
export interface Self {
  readonly node: NodeId;
  readonly name: NodeName;
  readonly role: Role;
  readonly interfacePrefix: string;
  /** Of a hub: its public endpoints; the first one's port is the listen port. */
  readonly endpoints: readonly Endpoint[];
  readonly listenPort: number | undefined;
  readonly nflogGroup: number;
  /** Announced whatever the kernel has. */
  readonly prefixes: readonly Prefix[];
  readonly routing: RoutingConfig;
  /** Full tunnel. */
  readonly exit: ExitConfig | undefined;
  /** Of the tunnel interfaces; absent: as the overlay says. */
  readonly mtu: number | undefined;
  readonly uplinks: readonly UplinkConfig[];
  readonly quality: QualityConfig | undefined;
}

export interface AgentState {
  readonly self: Self;
  /** The registry's words, when it has thrown this node out: nothing of the overlay stays on the host. */
  readonly revoked: string | undefined;
  /** The registry address of the open session, and since when. */
  readonly connectedTo: string | undefined;
  readonly connectedAt: Instant | undefined;
  readonly config: OverlayConfig | undefined;
  /** What others announce; absent until the registry or the state file has told. */
  readonly learned: ReadonlyMap<Prefix, LearnedRoute> | undefined;
  /** A full list of it that is still arriving. */
  readonly learning: ReadonlyMap<Prefix, LearnedRoute> | undefined;
  readonly interfaces: ReadonlyMap<string, OwnInterface>;
  /** Own addresses on the underlay, to be claimed. */
  readonly localAddresses: readonly Address[];
  readonly routing: RoutingState;
  readonly registration: Registration;
  readonly nextRequestId: number;
  /** Spokes: one path a hub. */
  readonly hubs: ReadonlyMap<NodeId, HubPath>;
  readonly activeHub: NodeId | undefined;
  /** Hubs that carry traffic beside the active one. */
  readonly sharing: readonly NodeId[];
  /** When to choose again though nothing happened. */
  readonly hubChoiceAt: Instant | undefined;
  /** Spokes: bindings that were asked for and not answered yet, by destination. */
  readonly resolutions: ReadonlyMap<Address, Resolution>;
  readonly shortcuts: ReadonlyMap<Prefix, Shortcut>;
  readonly remotes: ReadonlyMap<NodeId, Remote>;
  readonly nextActivityAt: Instant | undefined;
  readonly uplinks: UplinkState;
  readonly quality: ReadonlyMap<string, Verdict>;
  /** Hubs. */
  readonly hub: HubState;
}

export interface OwnInterface {
  readonly name: string;
  readonly kind: InterfaceKind;
  /** Hub tunnels only. */
  readonly hub: NodeId | undefined;
  /** Probes only: the name of the uplink. */
  readonly uplink: string | undefined;
  readonly listenPort: number;
  /** Absent until the shell has made the key. */
  readonly publicKey: PublicKey | undefined;
}

export type BfdState = 'admin-down' | 'down' | 'init' | 'up';

/** One of those by which traffic may go; a tunnel with BFD alone; no tunnel. */
export type HubPlace = 'connected' | 'probed' | 'none';

export interface HubPath {
  readonly hub: HubConfig;
  readonly interface: string;
  readonly place: HubPlace;
  /** A new tunnel: until then it may come Up, and no other one is opened in its place. */
  readonly expectedUntil: Instant | undefined;
  /** There are enough better hubs: the tunnel goes then. */
  readonly closeAt: Instant | undefined;
  readonly bfd: BfdState;
  /** The last change from or to Up. */
  readonly since: Instant;
  readonly everUp: boolean;
  /** It was Up and went Down since its tunnel was opened. */
  readonly returned: boolean;
  /** When the tunnel is looked at next, while it is not Up. */
  readonly repairAt: Instant | undefined;
  readonly repairs: number;
  readonly reception: Reception | undefined;
}

/** An incomplete entry (NHRP cache): retries reuse its id, further packets do not trigger again. */
export interface Resolution {
  readonly destination: Address;
  readonly source: Address;
  readonly requestId: number;
  readonly tries: number;
  readonly nextAt: Instant;
  /** A NAK: no further request until then. */
  readonly negativeUntil: Instant | undefined;
}

/** A cached binding; its route is installed while its remote is direct. */
export interface Shortcut {
  readonly prefix: Prefix;
  /** Dynamic: answered by the registry; cached: heard in a request of the node itself. */
  readonly type: 'cached' | 'dynamic';
  readonly node: NodeId;
  /** An address inside, to ask for again. */
  readonly destination: Address;
  readonly source: Address;
  readonly createdAt: Instant;
  readonly expiresAt: Instant;
  readonly refreshAt: Instant;
  readonly usedAt: Instant;
}

/** Another node to which there is, was or might be a direct tunnel. */
export interface Remote {
  readonly target: Target;
  readonly phase: RemotePhase;
  readonly since: Instant;
  readonly bfd: BfdState;
  readonly everUp: boolean;
  readonly rendezvous: RendezvousProgress | undefined;
  /** Failed attempts in a row. */
  readonly failures: number;
  readonly retryAt: Instant;
  /** Next look at it in recovering, end of closing, end of an adopted path's grace. */
  readonly nextAt: Instant | undefined;
  readonly reception: Reception | undefined;
  /** Where the other end is, by the registry's last word. */
  readonly places: readonly Endpoint[];
  readonly search: Search | undefined;
  readonly reason: string | undefined;
}

export function initialState(self: Self): AgentState {
  return {
    self,
    revoked: undefined,
    connectedTo: undefined,
    connectedAt: undefined,
    config: undefined,
    learned: undefined,
    learning: undefined,
    interfaces: new Map(),
    localAddresses: [],
    routing: initialRouting,
    registration: initialRegistration,
    nextRequestId: 0,
    hubs: new Map(),
    activeHub: undefined,
    sharing: [],
    hubChoiceAt: undefined,
    resolutions: new Map(),
    shortcuts: new Map(),
    remotes: new Map(),
    nextActivityAt: undefined,
    uplinks: initialUplinks,
    quality: new Map(),
    hub: initialHub,
  };
}

/** The name of the multipoint interface. */
export function multipointName(self: Self): string {
  return `${self.interfacePrefix}0`;
}

/** Whether the interface is there: always, but for a tunnel to a hub that is neither connected nor probed. */
export function isOpen({ hubs }: Pick<AgentState, 'hubs'>, { hub }: OwnInterface): boolean {
  return hub === undefined || (hubs.get(hub)?.place ?? 'none') !== 'none';
}

/** Looks at a tunnel that is not Up, about two seconds, after which its hub counts as away. */
const looksUntilAway = 3;

/** Whether a spoke has hubs and none of them is there, not just not yet. */
export function isWithoutHub({ self, hubs }: Pick<AgentState, 'self' | 'hubs'>): boolean {
  const paths = [...hubs.values()].filter(({ place }) => place !== 'none');
  return self.role === 'spoke' && paths.length > 0 && paths.every((path) => path.repairs >= looksUntilAway);
}

/** A copy of `map` with `key` set. */
export function withEntry<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return new Map(map).set(key, value);
}

/** A copy of `map` without `key`; the same map if it has none. */
export function withoutEntry<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  if (!map.has(key)) return map;
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
