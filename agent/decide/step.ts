// The agent's mind: one pure step per event. What should be on the host follows from the state (desired.ts); what has to be
// done once comes out as effects; when to be woken, from nextWake. No I/O, no clock, no randomness of its own.
import type { PublicKey } from '#proto/model/key.ts';
import { errorCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import type { OverlayConfig, RegistryMessage } from '#proto/model/session.ts';
import { sawActivity, tickActivity } from './activity.ts';
import { chooseCarriers, spokeBfd } from './carriers.ts';
import { type Event, note, type Turn, warn, splitPath } from './event.ts';
import { tickCutOff } from './cut-off.ts';
import { tickExit } from './exit-path.ts';
import { configureHubs, greetReflectors, hubBfd, inspectHubs, repairHub } from './hub-paths.ts';
import { chooseHubs } from './hub-choice.ts';
import { indicate, peerSync, reportEndpoints, tickHub } from './hub-peers.ts';
import { putOff } from './late.ts';
import { routeSync } from './learned.ts';
import { sendError } from './nhrp-messages.ts';
import { ownInterfaces, randomPort } from './own-interfaces.ts';
import {
  forgetRegistration,
  register,
  registrationError,
  registrationReply,
  sortAddresses,
  withdrawalReply,
} from './registration.ts';
import { directBfd, inspectRemotes, tickRemotes } from './remotes.ts';
import {
  indicated,
  noticed,
  purged,
  resolutionError,
  resolutionReply,
  resolutionRequest,
  revalidate,
  tickResolutions,
} from './resolution.ts';
import { sawRoutes, tickAnnounced } from './announcing.ts';
import { dropShortcuts, dropUnfit } from './shortcuts.ts';
import { chooseTransit, reached } from './transit.ts';
import { measured } from './quality.ts';
import { chooseUplinks, probeBfd, sawUplinks } from './uplink-choice.ts';
import { type AgentState, type HubPath, initialState, multipointName, type Remote, withEntry } from './state.ts';

export function step(state: AgentState, event: Event, turn: Turn): AgentState {
  return tick(handle(state, event, turn), turn);
}

/** Without what is due: for an event that others have followed already, which may be what was waited for. */
export function handle(state: AgentState, event: Event, turn: Turn): AgentState {
  switch (event.kind) {
    case 'connected':
      return connected(state, event.endpoint, turn);
    case 'disconnected':
      return { ...state, connectedTo: undefined, connectedAt: undefined };
    case 'revoked':
      warn(turn, 'revoked', { detail: event.detail });
      return { ...initialState(state.self), routing: state.routing, revoked: event.detail };
    case 'message':
      return message(state, event.message, turn);
    case 'key-made': {
      const own = state.interfaces.get(event.interface);
      if (!own) return state;
      const interfaces = withEntry(state.interfaces, own.name, { ...own, publicKey: event.publicKey });
      return { ...state, interfaces };
    }
    case 'port-taken': {
      const own = state.interfaces.get(event.interface);
      if (!own || state.self.listenPort !== undefined) return state;
      const interfaces = withEntry(state.interfaces, own.name, { ...own, listenPort: randomPort(turn) });
      return { ...state, interfaces };
    }
    case 'local-addresses': {
      const localAddresses = sortAddresses(event.addresses);
      if (localAddresses.join() === state.localAddresses.join()) return state;
      sendAnew(state, turn);
      return dropUnfit(hurry({ ...state, localAddresses }, turn), turn);
    }
    case 'registries': {
      const { routing } = state;
      const same = event.endpoints.join() === routing.registries.join();
      return same ? state : { ...state, routing: { ...routing, registries: event.endpoints } };
    }
    case 'configured':
      note(turn, 'configured anew', { exit: event.exit?.via });
      return { ...state, self: { ...state.self, routing: event.routing, exit: event.exit } };
    case 'measured':
      return measured(state, event.readings, turn);
    case 'uplinks':
      return dropUnfit(sawUplinks(state, event.sights, turn), turn);
    case 'kernel-routes':
      return sawRoutes(state, event.routes);
    case 'bfd':
      return bfd(state, event, turn);
    case 'peers': {
      const repaired = repairHub(state, event.interface, event.peers, turn);
      if (event.interface !== multipointName(state.self)) return repaired;
      return inspectRemotes(reportEndpoints(repaired, event.peers, turn), event.peers, turn);
    }
    case 'activity':
      return sawActivity(state, event.addresses, turn);
    case 'indication':
      if (state.self.role === 'spoke') return noticed(state, event, turn);
      indicate(state, event, turn);
      return state;
    case 'reach':
      return reached(state, event.reach);
    case 'late':
      return putOff(state, event.pass, turn.now);
    case 'tick':
      return state;
  }
}

/** The network underneath changed: what failed before may work now. */
function hurry(state: AgentState, turn: Turn): AgentState {
  greetReflectors(state, turn);
  const hubs = [...state.hubs].map(([node, path]): [typeof node, HubPath] => {
    return [node, path.repairAt === undefined ? path : { ...path, repairs: 0, repairAt: turn.now }];
  });
  const remotes = [...state.remotes].map(([node, remote]): [typeof node, Remote] => {
    return [node, remote.phase === 'failed' ? { ...remote, failures: 0, retryAt: turn.now } : remote];
  });
  return { ...state, hubs: new Map(hubs), remotes: new Map(remotes) };
}

/**
 * What works goes on from the new address: a WireGuard in user space sends from the one that a peer was heard at, also when the
 * host has it no longer, until it is told the endpoint again.
 */
function sendAnew(state: AgentState, turn: Turn): void {
  const tell = (name: string, publicKey: PublicKey): void => {
    turn.effects.push({ kind: 'move-peer', interface: name, publicKey, endpoint: 'where it is' });
  };
  for (const { hub, bfd, interface: name } of state.hubs.values())
    if (bfd === 'up' && hub.publicKey) tell(name, hub.publicKey);
  for (const { target, phase } of state.remotes.values())
    if (phase === 'direct') tell(multipointName(state.self), target.publicKey);
}

/** Everything that is due. */
function tick(state: AgentState, turn: Turn): AgentState {
  if (state.revoked !== undefined) return state;
  const parts = [
    announceAnew,
    chooseUplinks,
    chooseHubs,
    inspectHubs,
    tickCutOff,
    tickRemotes,
    tickResolutions,
    tickExit,
    tickActivity,
    tickHub,
    chooseTransit,
    chooseCarriers,
    register,
  ];
  return parts.reduce((current, part) => part(current, turn), state);
}

/** A shortcut to what is now this node's own goes. */
function announceAnew(state: AgentState, turn: Turn): AgentState {
  const next = tickAnnounced(state, turn);
  return next.routing.announcements === state.routing.announcements ? next : dropUnfit(next, turn);
}

function connected(state: AgentState, endpoint: string, turn: Turn): AgentState {
  const back = forgetRegistration({
    ...state,
    revoked: undefined,
    connectedTo: endpoint,
    connectedAt: turn.now,
    // Said again in this session.
    learning: undefined,
    hub: { ...state.hub, observed: new Map(), incoming: undefined },
  });
  return revalidate(back, turn);
}

function bfd(state: AgentState, event: Extract<Event, { kind: 'bfd' }>, turn: Turn): AgentState {
  const [kind, node] = splitPath(event.path);
  switch (kind) {
    case 'uplink':
      return probeBfd(state, node, event.state, turn);
    case 'probe':
      return state;
    case 'hub':
      return hubBfd(state, node, event.state, turn);
    case 'direct':
      return directBfd(state, node, event, turn);
    case 'spoke':
      return spokeBfd(state, node, event.state, turn);
  }
}

function message(state: AgentState, received: RegistryMessage, turn: Turn): AgentState {
  switch (received.type) {
    case 'overlay-config':
      return configure(state, received.config, turn);
    case 'peer-sync':
      return peerSync(state, received, turn);
    case 'route-sync':
      return dropUnfit(routeSync(state, received, turn), turn);
    case 'nhrp':
      return nhrp(state, received.message, turn);
    case 'welcome':
    case 'ping':
    case 'goodbye':
      return state;
  }
}

/** Also for the configuration that a restarted agent finds in its state file. */
export function configure(state: AgentState, config: OverlayConfig, turn: Turn): AgentState {
  if (!state.config) note(turn, 'overlay', { overlay: config.overlay, address: config.address, phase: config.phase });
  const interfaces = ownInterfaces(state, config, turn);
  const configured = configureHubs({ ...state, config, interfaces }, config, turn);
  // Phase 1 knows no shortcuts.
  if (config.phase === 1) return dropShortcuts(configured, [...configured.shortcuts.keys()], turn);
  return dropUnfit(configured, turn);
}

function nhrp(state: AgentState, received: NhrpMessage, turn: Turn): AgentState {
  const { body } = received;
  switch (body.type) {
    case 'traffic-indication':
      return indicated(state, { ...received, body }, turn);
    case 'resolution-reply':
      return resolutionReply(state, { ...received, body }, turn);
    case 'resolution-request':
      return resolutionRequest(state, { ...received, body }, turn);
    case 'registration-reply':
      return registrationReply(state, { ...received, body }, turn);
    case 'purge-request':
      return purged(state, { ...received, body }, turn);
    case 'error-indication':
      warn(turn, 'error indication', { code: body.code, requestId: received.requestId });
      return registrationError(resolutionError(state, { ...received, body }, turn), { ...received, body }, turn);
    case 'registration-request':
      sendError(state, received, errorCode.protocolError, turn);
      return state;
    case 'purge-reply':
      return withdrawalReply(state, received, turn);
  }
}
