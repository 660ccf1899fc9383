// Registration (RFC 2332 5.2.3): what this node tells the registry about itself, when, and what came of it.
import { type Address, familyOf, lengthOf, networkOf, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, endpointAddress, endpointOf } from '#proto/model/endpoint.ts';
import {
  type Cie,
  cieCode,
  defaultHopCount,
  type ErrorIndication,
  type NhrpMessage,
  type NodeInterface,
  type PurgeRequest,
  type RegistrationReply,
  type RegistrationRequest,
  uniquePrefixLength,
} from '#proto/model/nhrp.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import { after, type Instant, type Milliseconds, milliseconds, seconds, toMilliseconds } from '#proto/model/time.ts';
import { type AnnouncementDelta, announcementDelta, isAddress, partsOf } from './announcement-delta.ts';
import { note, type Turn, warn } from './event.ts';
import type { RegistrationPart } from './registration-state.ts';
import { followingId } from './request-id.ts';
import { knowsAnnouncements } from './routing-state.ts';
import { type AgentState, multipointName, type OwnInterface } from './state.ts';

/** Waits before a request is repeated. */
const retryWaits = [1000, 2000, 4000, 7000];

/** Registers when there is something new to say, a refresh is due, or a reply is overdue. */
export function register(state: AgentState, turn: Turn): AgentState {
  const { config, registration } = state;
  if (state.connectedTo === undefined || !config || state.revoked !== undefined) return state;
  const interfaces = describeInterfaces(state);
  if (interfaces === undefined) return state;
  const fingerprint = JSON.stringify([interfaces, config.address, config.address6, config.holdingTime]);
  const changed = fingerprint !== registration.fingerprint;
  // Prefixes only once it is known which: what the registry has of the last run is better than none.
  const announcements = knowsAnnouncements(state.routing) ? state.routing.announcements : undefined;
  const announced = changed || announcements === registration.announced;
  if (!changed && announced && (registration.nextAt === undefined || registration.nextAt > turn.now)) return state;

  // What is announced changes often, and alone: nothing else is said again for it.
  const overdue = !changed && announced && registration.pending.size > 0;
  const retries = overdue ? registration.retries + 1 : 0;
  const pending = new Map(announced ? [] : [...registration.pending].filter(([, part]) => isAddress(part)));
  const delta = announced || !announcements ? undefined : announcementDelta(state, announcements);
  let id = state.nextRequestId;
  for (const part of partsOf(config, { announced, announcements, delta })) {
    // A retry keeps its request ID (RFC 2332 5.2.0.1). Instead of a purge the whole list is said.
    const old = [...registration.pending].find(
      ([, one]) => one === part || (part === 'prefixes' && one === 'withdrawal'),
    );
    if (overdue && !old) continue;
    const reused = overdue && old?.[1] === part ? old[0] : undefined;
    const requestId = reused ?? id;
    if (reused === undefined) id = followingId(id);
    pending.set(requestId, part);
    const message = request(state, part, requestId, { interfaces, delta });
    if (message) turn.effects.push({ kind: 'send', message: { type: 'nhrp', message } });
  }
  return {
    ...state,
    nextRequestId: id,
    registration: {
      ...registration,
      fingerprint,
      announced: announcements,
      pending,
      retries,
      refused: overdue ? registration.refused : [],
      nextAt: after(turn.now, milliseconds(retryWaits[Math.min(retries, retryWaits.length - 1)] ?? 7000)),
    },
  };
}

/** Takes a reply; any code but 0 is a NAK, which is shown and asked again at the next refresh. */
export function registrationReply(state: AgentState, message: NhrpMessage<RegistrationReply>, turn: Turn): AgentState {
  const { registration, config } = state;
  const part = registration.pending.get(message.requestId);
  if (part === undefined || !config || message.source !== sourceOf(config, part)) return state;
  const refused: string[] = [];
  for (const cie of message.body.cies) {
    if (cie.code === cieCode.ok) continue;
    const what = `${cie.protocolAddress ?? message.source}/${String(cie.prefixLength)}`;
    refused.push(`${what}: ${registrationNak(cie.code)}`);
    warn(turn, 'registration refused', { what, code: cie.code, reason: registrationNak(cie.code) });
  }
  const { observedEndpoint } = message.body;
  const heard = observedEndpoint ? { ...state, registration: { ...registration, observedEndpoint } } : state;
  return concluded(heard, message.requestId, refused, turn);
}

/** What was withdrawn is gone (RFC 2332 5.2.6). */
export function withdrawalReply(state: AgentState, message: NhrpMessage, turn: Turn): AgentState {
  const part = state.registration.pending.get(message.requestId);
  return part === 'withdrawal' ? concluded(state, message.requestId, [], turn) : state;
}

/** An error about a registration that is under way ends it (RFC 2332 5.2.7); it is asked again like what was refused. */
export function registrationError(state: AgentState, message: NhrpMessage<ErrorIndication>, turn: Turn): AgentState {
  if (!state.registration.pending.has(message.requestId)) return state;
  return concluded(state, message.requestId, [`error ${String(message.body.code)}`], turn);
}

/** One request of the round is over. */
function concluded(state: AgentState, requestId: number, news: readonly string[], turn: Turn): AgentState {
  const { registration } = state;
  const pending = new Map(registration.pending);
  pending.delete(requestId);
  const refused = [...registration.refused, ...news];
  if (pending.size === 0 && refused.length === 0 && registration.retries === 0) {
    note(turn, 'registered', { address: state.config?.address });
  }
  return {
    ...state,
    registration: {
      ...registration,
      pending,
      refused,
      refusals: pending.size > 0 || refused.length === 0 ? registration.refusals : registration.refusals + 1,
      nextAt:
        pending.size > 0
          ? registration.nextAt
          : refused.length > 0
            ? after(turn.now, refusalWait(registration.refusals))
            : refreshAt(state, turn),
    },
  };
}

/** After a new session everything is said again. */
export function forgetRegistration(state: AgentState): AgentState {
  return {
    ...state,
    registration: { ...state.registration, fingerprint: undefined, pending: new Map(), nextAt: undefined, refusals: 0 },
  };
}

/** From which the multipoint interface sends. */
function ownAddresses({ self, uplinks, localAddresses }: AgentState): readonly Address[] {
  if (self.uplinks.length === 0) return localAddresses;
  const place = uplinks.places.get(multipointName(self));
  return (place && uplinks.sights?.get(place.uplink)?.addresses) ?? [];
}

/** The endpoints that the multipoint interface claims. */
export function claimedEndpoints(state: AgentState): readonly Endpoint[] {
  const port = state.interfaces.get(multipointName(state.self))?.listenPort;
  if (state.self.role === 'hub' || port === undefined) return state.self.endpoints;
  return ownAddresses(state).map((address) => endpointOf(address, port));
}

export function registrationNak(code: number): string {
  switch (code) {
    case cieCode.prohibited:
      return 'prohibited (the registry does not allow this node to announce it)';
    case cieCode.noResources:
      return 'the registry takes no more of it now: too many prefixes, or it flaps (dmwg why PREFIX)';
    case cieCode.alreadyRegistered:
      return 'already registered by another node';
    default:
      return `code ${String(code)}`;
  }
}

/** What was refused is asked for again long before the next refresh: the registry may only have been short of resources. */
function refusalWait(refusals: number): Milliseconds {
  return milliseconds(Math.min(5000 * 2 ** Math.min(refusals, 10), 60_000));
}

function refreshAt(state: AgentState, turn: Turn): Instant {
  const third = toMilliseconds(state.config?.holdingTime ?? (0 as never)) / 3;
  return after(turn.now, milliseconds(third * (0.9 + turn.random() * 0.1)));
}

function describeInterfaces(state: AgentState): NodeInterface[] | undefined {
  const described: NodeInterface[] = [];
  for (const own of state.interfaces.values()) {
    if (own.publicKey === undefined) return undefined;
    if (hasLeft(state, own)) continue;
    const endpoints = own.kind === 'multipoint' ? claimedEndpoints(state) : tunnelEndpoints(state, own);
    described.push({ kind: own.kind, publicKey: own.publicKey, hub: own.hub, endpoints });
  }
  return described.length > 0 ? described : undefined;
}

/** A hub that is to be stopped waits for this: who has no tunnel to it any more says so. */
function hasLeft({ hubs }: AgentState, { hub }: OwnInterface): boolean {
  const path = hub === undefined ? undefined : hubs.get(hub);
  return path?.hub.draining === true && path.place === 'none';
}

/** Where other hubs reach a hub's tunnel: at its public addresses. A spoke's tunnels are nobody's to find. */
function tunnelEndpoints({ self }: AgentState, { listenPort }: OwnInterface): readonly Endpoint[] {
  if (self.role === 'spoke') return [];
  return [...new Set(self.endpoints.map((endpoint) => endpointOf(endpointAddress(endpoint), listenPort)))];
}

function sourceOf(config: OverlayConfig, part: RegistrationPart): Address | undefined {
  return part === 'address6' ? config.address6 : config.address;
}

interface Content {
  readonly interfaces: readonly NodeInterface[];
  readonly delta: AnnouncementDelta | undefined;
}

function request(
  state: AgentState,
  part: RegistrationPart,
  requestId: number,
  { interfaces, delta }: Content,
): NhrpMessage<RegistrationRequest | PurgeRequest> | undefined {
  const { config } = state;
  const own = config && sourceOf(config, part);
  if (!own) return undefined;
  const nbma = claimedEndpoints(state);
  const header = {
    hopCount: defaultHopCount,
    requestId,
    sourceNbma: nbma[0],
    source: own,
    destination: own,
    extensions: [],
  };
  const common = { code: cieCode.ok, mtu: config.mtu, holdingTime: config.holdingTime, nbma, preference: 0 };
  const about = (prefix: Prefix): Pick<Cie, 'prefixLength' | 'protocolAddress'> => ({
    prefixLength: lengthOf(prefix),
    protocolAddress: networkOf(prefix),
  });
  if (part === 'withdrawal') {
    const gone = { ...common, mtu: 0, holdingTime: seconds(0), nbma: [] };
    const cies = (delta?.withdrawn ?? []).map((prefix) => ({ ...gone, ...about(prefix) }));
    return { ...header, body: { type: 'purge-request', noReply: false, cies } };
  }
  const announced = delta?.added ?? [...state.routing.announcements.values()];
  const cies =
    part === 'prefixes'
      ? announced.map(({ prefix, preference }) => ({ ...common, ...about(prefix), preference }))
      : [{ ...common, prefixLength: uniquePrefixLength, protocolAddress: own }];
  const unique = part !== 'prefixes';
  return { ...header, body: { type: 'registration-request', unique, cies, interfaces, additive: delta !== undefined } };
}

/** IPv4 before IPv6. */
export function sortAddresses(addresses: readonly Address[]): readonly Address[] {
  return [...addresses].sort((a, b) => familyOf(a) - familyOf(b) || (a < b ? -1 : a > b ? 1 : 0));
}
