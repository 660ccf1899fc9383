// On-demand resolution (RFC 2332 5.2.1, 5.2.2) and the cache of bindings that came of it.
import { type Address, containsAddress, familyOf, isMulticast, networkOf, type Prefix } from '#proto/model/address.ts';
import {
  cieCode,
  errorCode,
  type ErrorIndication,
  type NhrpMessage,
  type PurgeRequest,
  type ResolutionReply,
  type ResolutionRequest,
  type TrafficIndication,
} from '#proto/model/nhrp.ts';
import { after, milliseconds, type Seconds, toMilliseconds } from '#proto/model/time.ts';
import { note, type Turn } from './event.ts';
import { exitsOf, isExit, isOutside } from './exit.ts';
import { learnedAround } from './learned.ts';
import { ciePrefix, hasUnknown, isOwn, matchShortcut, prefixAround, sendError, sendRequest } from './nhrp-messages.ts';
import { followingId } from './request-id.ts';
import { dropShortcuts, learn } from './shortcuts.ts';
import { type AgentState, isWithoutHub, type Resolution, type Shortcut, withEntry, withoutEntry } from './state.ts';

/** As FRR's nhrpd: 1, 2, 4, 7 s, and given up after 30 s. */
const retryWaits = [1000, 2000, 4000, 7000, 7000, 9000];
/** What expired while the registry was away lives on until the registry must have answered. */
const revalidationMs = 60_000;
/** A scan of the overlay must not fill the memory. */
const mostResolutions = 512;

/** A hub carried traffic from here to `destination`: find the way, unless that is under way or known not to work now. */
export function indicated(state: AgentState, message: NhrpMessage<TrafficIndication>, turn: Turn): AgentState {
  if (state.config?.phase === 1 || state.self.role !== 'spoke') return state;
  return find(state, message, turn);
}

/**
 * The first packet to a remote prefix left by a hub tunnel, in phase 2, or in phase 3 while there is no hub to say so. Hubs and what
 * is behind them are reached that way anyway.
 */
export function noticed(state: AgentState, pair: Pair, turn: Turn): AgentState {
  const phase = state.config?.phase;
  if (phase !== 2 && !(phase === 3 && isWithoutHub(state))) return state;
  const { destination } = pair;
  for (const { hub } of state.hubs.values()) {
    if (destination === hub.address || destination === hub.address6) return state;
  }
  const behind = learnedAround(state.learned, destination)?.origins.some(({ node }) => state.hubs.has(node));
  if (behind === true) return state;
  return isMulticast(destination) ? state : find(state, pair, turn);
}

interface Pair {
  readonly source: Address;
  readonly destination: Address;
}

/** Only for own sources: what came in from the overlay never triggers a request (the domino rule). */
function find(state: AgentState, { source, destination }: Pair, turn: Turn): AgentState {
  if (state.resolutions.size >= mostResolutions) return state;
  if (!isOwn(state, source)) return state;
  if (isOwn(state, destination) || state.resolutions.has(destination)) return state;
  if (isOutside(state, destination) && !isExitWanted(state, destination, turn)) return state;
  const shortcut = matchShortcut(state, destination);
  const remote = shortcut && state.remotes.get(shortcut.node);
  if (remote?.phase === 'punching' || (remote && remote.retryAt > turn.now)) return state;
  // Direct: the packet was on its way to the hub before the route changed.
  if (remote?.phase === 'direct') return state;
  return ask(state, { source, destination }, turn);
}

/** Whether to look for a direct path to the exit: once, whatever there is outside that traffic goes to. */
function isExitWanted(state: AgentState, destination: Address, turn: Turn): boolean {
  // The registry names the best one alone.
  const exit = exitsOf(state.learned, familyOf(destination))[0];
  if (!exit || exit.name !== state.self.exit?.via || state.hubs.has(exit.node)) return false;
  if ([...state.resolutions.keys()].some((asked) => isOutside(state, asked))) return false;
  const remote = state.remotes.get(exit.node);
  return remote === undefined || (remote.phase === 'failed' && remote.retryAt <= turn.now);
}

/** Sends a Resolution Request and remembers it. */
export function ask(state: AgentState, { source, destination }: Pair, turn: Turn): AgentState {
  const resolution: Resolution = {
    source,
    destination,
    requestId: state.nextRequestId,
    tries: 1,
    nextAt: after(turn.now, milliseconds(1000)),
    negativeUntil: undefined,
  };
  note(turn, 'resolving', { destination, source });
  sendRequest(state, resolution, turn);
  return {
    ...state,
    nextRequestId: followingId(state.nextRequestId),
    resolutions: withEntry(state.resolutions, destination, resolution),
  };
}

export function resolutionReply(state: AgentState, message: NhrpMessage<ResolutionReply>, turn: Turn): AgentState {
  const asked = [...state.resolutions.values()].find(
    ({ requestId, source, negativeUntil }) =>
      requestId === message.requestId && source === message.source && negativeUntil === undefined,
  );
  const cie = message.body.cies[0];
  const { target } = message.body;
  if (!asked || !cie) {
    sendError(state, message, errorCode.invalidReply, turn);
    return state;
  }
  if (cie.code !== cieCode.ok || !target) {
    note(turn, 'resolution refused', { destination: asked.destination, code: cie.code });
    const refused = putNegative(state, asked, turn);
    // What was cached of it is wrong now, unless the registry only has no resources at the moment.
    const stale = cie.code === cieCode.noResources ? undefined : matchShortcut(state, asked.destination);
    return stale ? dropShortcuts(refused, [stale.prefix], turn) : refused;
  }
  const answered = { ...state, resolutions: withoutEntry(state.resolutions, asked.destination) };
  const prefix = prefixAround(asked.destination, cie);
  const { holdingTime, nbma: endpoints } = cie;
  const told = { type: 'dynamic', prefix, target, holdingTime, endpoints } as const;
  const learned = learn(answered, { ...told, source: asked.source, destination: asked.destination }, turn);
  // What was cached of the same destination with another prefix is no longer so, and would be asked for again at once.
  const replaced = [...learned.shortcuts.values()].filter(
    (one) => one.destination === asked.destination && one.prefix !== prefix,
  );
  return dropShortcuts(
    learned,
    replaced.map((one) => one.prefix),
    turn,
  );
}

/** An error about a request that is under way ends it (RFC 2332 5.2.7): to repeat it would bring the same. */
export function resolutionError(state: AgentState, message: NhrpMessage<ErrorIndication>, turn: Turn): AgentState {
  const asked = [...state.resolutions.values()].find(
    ({ requestId, negativeUntil }) => requestId === message.requestId && negativeUntil === undefined,
  );
  return asked ? putNegative(state, asked, turn) : state;
}

function putNegative(state: AgentState, asked: Resolution, turn: Turn): AgentState {
  const wait = toMilliseconds(state.config?.negativeHoldingTime ?? (30 as Seconds));
  const negative = { ...asked, negativeUntil: after(turn.now, wait) };
  return { ...state, resolutions: withEntry(state.resolutions, asked.destination, negative) };
}

/** Another node is about to build a shortcut to us: prepare our side, and go the same way back. */
export function resolutionRequest(state: AgentState, message: NhrpMessage<ResolutionRequest>, turn: Turn): AgentState {
  const { target } = message.body;
  const cie = message.body.cies[0];
  const { config } = state;
  if (!target || !cie || !config) return state;
  const { holdingTime, nbma: endpoints } = cie;
  const own = isOwn(state, message.destination);
  // Whoever leaves the overlay by this node speaks with the node itself.
  if (!own && !isExit(state, familyOf(message.destination))) return state;
  const prefix = prefixAround(message.source, cie);
  // What is cached already is told again when the other end has moved.
  const known = state.shortcuts.get(prefix);
  const { source, destination } =
    known?.node === target.node
      ? known
      : { source: own ? message.destination : config.address, destination: message.source };
  // Cached only if the asker is stable and says for how long (RFC 2332 5.2.1).
  if (!message.body.sourceStable || holdingTime === 0) return state;
  const told = { type: 'cached', prefix, target, holdingTime, endpoints, source, destination } as const;
  const next = learn(state, told, turn);
  // What was answered says something else: who is right is for the registry to say.
  const held = next.shortcuts.get(prefix);
  const doubtful = held && held.node !== target.node && !next.resolutions.has(held.destination);
  return doubtful ? ask(next, held, turn) : next;
}

/** RFC 2332 5.2.5: forgets all bindings inside the named classes, and says so. */
export function purged(state: AgentState, message: NhrpMessage<PurgeRequest>, turn: Turn): AgentState {
  const nameless = message.body.cies.some(({ protocolAddress }) => protocolAddress === undefined);
  if (nameless || hasUnknown(message)) {
    sendError(state, message, nameless ? errorCode.protocolError : errorCode.unrecognisedExtension, turn);
    return state;
  }
  const gone: Prefix[] = [];
  for (const cie of message.body.cies) {
    const purgedPrefix = ciePrefix(cie);
    if (!purgedPrefix) continue;
    for (const shortcut of state.shortcuts.values()) {
      const network = networkOf(shortcut.prefix);
      if (containsAddress(purgedPrefix, network) || containsAddress(shortcut.prefix, cie.protocolAddress ?? network)) {
        gone.push(shortcut.prefix);
      }
    }
  }
  if (!message.body.noReply) {
    const reply = { ...message, body: { ...message.body, type: 'purge-reply' as const } };
    turn.effects.push({ kind: 'send', message: { type: 'nhrp', message: reply } });
  }
  if (gone.length > 0) note(turn, 'purged', { prefixes: gone });
  return dropShortcuts(state, gone, turn);
}

/** Repeats what is not answered, forgets what is over, refreshes what is used and two thirds old. */
export function tickResolutions(state: AgentState, turn: Turn): AgentState {
  let next = state;
  for (const entry of state.resolutions.values()) {
    if (entry.negativeUntil !== undefined) {
      if (entry.negativeUntil > turn.now) continue;
      next = { ...next, resolutions: withoutEntry(next.resolutions, entry.destination) };
    } else if (entry.nextAt <= turn.now) {
      const wait = retryWaits[entry.tries];
      if (wait === undefined || state.connectedTo === undefined) {
        next = { ...next, resolutions: withoutEntry(next.resolutions, entry.destination) };
        continue;
      }
      sendRequest(next, entry, turn);
      const retried = { ...entry, tries: entry.tries + 1, nextAt: after(turn.now, milliseconds(wait)) };
      next = { ...next, resolutions: withEntry(next.resolutions, entry.destination, retried) };
    }
  }
  // Without the registry nothing can be refreshed, so nothing expires.
  if (state.connectedTo === undefined) return next;
  const expired: Prefix[] = [];
  for (const shortcut of next.shortcuts.values()) {
    if (shortcut.expiresAt <= turn.now) expired.push(shortcut.prefix);
    else if (shortcut.refreshAt <= turn.now && isRefreshed(next, shortcut)) {
      next = ask(next, shortcut, turn);
    }
  }
  return dropShortcuts(next, expired, turn);
}

/** After a new session: the registry does not remember whom it answered, so ask again for what is cached. */
export function revalidate(state: AgentState, turn: Turn): AgentState {
  const graceEnd = after(turn.now, milliseconds(revalidationMs));
  const shortcuts = new Map(state.shortcuts);
  for (const [prefix, shortcut] of shortcuts) {
    if (shortcut.expiresAt < graceEnd) shortcuts.set(prefix, { ...shortcut, expiresAt: graceEnd });
  }
  let next: AgentState = { ...state, shortcuts, resolutions: new Map() };
  for (const shortcut of next.shortcuts.values()) {
    if (next.remotes.get(shortcut.node)?.phase === 'direct') next = ask(next, shortcut, turn);
  }
  return next;
}

/** A binding is refreshed while its tunnel is in use; idle ones are removed before. */
export function isRefreshed(state: AgentState, shortcut: Shortcut): boolean {
  return state.remotes.get(shortcut.node)?.phase === 'direct' && !state.resolutions.has(shortcut.destination);
}
