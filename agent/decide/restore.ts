// A restarted agent goes on where the last one stopped: with the configuration, peers and shortcuts of its state file, also
// when the registry is away.
import type { Prefix } from '#proto/model/address.ts';
import type { Address } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Target } from '#proto/model/nhrp.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import type { HubPeer, OverlayConfig } from '#proto/model/session.ts';
import { after, toMilliseconds } from '#proto/model/time.ts';
import type { Turn } from './event.ts';
import { openTunnel, spareHub } from './hub-choice.ts';
import { tunnelTo } from './own-interfaces.ts';
import { adopt } from './remotes.ts';
import { followingId } from './request-id.ts';
import { refreshMoment } from './shortcuts.ts';
import {
  type AgentState,
  type HubPath,
  initialState,
  type OwnInterface,
  type Self,
  type Shortcut,
  withEntry,
} from './state.ts';
import { configure } from './step.ts';

export interface Saved {
  readonly interfacePrefix: string;
  readonly nextRequestId: number;
  readonly config: OverlayConfig | undefined;
  readonly activeHub: NodeId | undefined;
  /** Hubs to which there were tunnels. */
  readonly tunnels: readonly NodeId[];
  /** Without keys: those are in files of their own. */
  readonly interfaces: readonly OwnInterface[];
  readonly shortcuts: readonly SavedShortcut[];
  /** Of a hub. */
  readonly peers: readonly HubPeer[] | undefined;
  /** What others announce. */
  readonly routes: readonly LearnedRoute[] | undefined;
  readonly registries: readonly Endpoint[];
  /** Of a hub. */
  readonly carriers: readonly (readonly [Prefix, NodeId])[];
  /** The name of each tunnel, and of the uplink by which it leaves. */
  readonly uplinks: readonly (readonly [string, string])[];
}

export interface SavedShortcut {
  readonly prefix: Prefix;
  readonly type: Shortcut['type'];
  readonly source: Address;
  readonly destination: Address;
  readonly target: Target;
}

/** More than the requests that may have been sent after the file was written. */
const requestIdJump = 1000;

export function restore(self: Self, saved: Saved, turn: Turn): AgentState {
  const fresh = initialState(self);
  const usable = saved.interfacePrefix === self.interfacePrefix;
  let state: AgentState = {
    ...fresh,
    nextRequestId: followingId(saved.nextRequestId, requestIdJump),
    interfaces: new Map(usable ? saved.interfaces.map((own) => [own.name, own]) : []),
    activeHub: saved.activeHub,
    routing: { ...fresh.routing, registries: saved.registries },
    uplinks: { ...fresh.uplinks, places: placesOf(self, usable ? saved.uplinks : [], turn) },
    learned: saved.routes && new Map(saved.routes.map((route) => [route.prefix, route])),
    hub: {
      ...fresh.hub,
      carriers: new Map(saved.carriers),
      peers: saved.peers && new Map(saved.peers.map((peer) => [peer.node, peer])),
    },
  };
  if (!saved.config) return state;
  state = configure({ ...state, hubs: openedBefore(state, saved, saved.config, turn) }, saved.config, turn);
  for (const { prefix, type, source, destination, target } of saved.shortcuts) {
    const shortcut: Shortcut = {
      prefix,
      type,
      node: target.node,
      source,
      destination,
      expiresAt: after(turn.now, toMilliseconds(saved.config.holdingTime)),
      refreshAt: refreshMoment(toMilliseconds(saved.config.holdingTime), turn),
      createdAt: turn.now,
      usedAt: turn.now,
    };
    state = { ...state, shortcuts: withEntry(state.shortcuts, prefix, shortcut) };
    if (!state.remotes.has(target.node)) state = adopt(state, target, turn);
  }
  return state;
}

/** What was there stays until it is known which hubs are Up. */
function openedBefore(state: AgentState, saved: Saved, config: OverlayConfig, turn: Turn): AgentState['hubs'] {
  const open = new Map<NodeId, HubPath>();
  for (const hub of config.hubs) {
    const own = tunnelTo(state.interfaces, hub.node);
    const wasOpen = saved.tunnels.includes(hub.node) || saved.activeHub === hub.node;
    if (own && wasOpen) open.set(hub.node, openTunnel(spareHub(hub, own.name, turn.now), turn.now));
  }
  return open;
}

/** Uplinks that are still configured. */
function placesOf({ uplinks }: Self, saved: Saved['uplinks'], { now }: Turn): AgentState['uplinks']['places'] {
  return new Map(
    saved
      .filter(([, uplink]) => uplinks.some(({ name }) => name === uplink))
      .map(([name, uplink]) => [name, { uplink, since: now, trials: 0, next: undefined }]),
  );
}

/** Whether both states are saved the same for certain. */
export function sameSaved(a: AgentState, b: AgentState): boolean {
  return (
    a.config === b.config &&
    a.activeHub === b.activeHub &&
    (a.hubs === b.hubs || openTunnels(a).join() === openTunnels(b).join()) &&
    a.interfaces === b.interfaces &&
    a.uplinks.places === b.uplinks.places &&
    a.nextRequestId === b.nextRequestId &&
    a.shortcuts === b.shortcuts &&
    a.remotes === b.remotes &&
    a.learned === b.learned &&
    a.routing.registries === b.routing.registries &&
    a.hub.carriers === b.hub.carriers &&
    a.hub.peers === b.hub.peers
  );
}

export function save(state: AgentState): Saved {
  const shortcuts: SavedShortcut[] = [];
  for (const { prefix, type, source, destination, node } of state.shortcuts.values()) {
    const remote = state.remotes.get(node);
    if (remote?.phase === 'direct') shortcuts.push({ prefix, type, source, destination, target: remote.target });
  }
  return {
    interfacePrefix: state.self.interfacePrefix,
    nextRequestId: state.nextRequestId,
    config: state.config,
    activeHub: state.activeHub,
    tunnels: openTunnels(state),
    interfaces: [...state.interfaces.values()],
    shortcuts,
    peers: state.hub.peers && [...state.hub.peers.values()],
    registries: state.routing.registries,
    routes: state.learned && [...state.learned.values()],
    carriers: [...state.hub.carriers],
    uplinks: [...state.uplinks.places].flatMap(([name, { uplink }]) =>
      state.interfaces.has(name) ? [[name, uplink] as const] : [],
    ),
  };
}

function openTunnels(state: AgentState): NodeId[] {
  return [...state.hubs.values()].filter((path) => path.place !== 'none').map((path) => path.hub.node);
}
