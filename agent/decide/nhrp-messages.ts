// NHRP messages that a spoke sends, and what it reads out of those that it gets.
import {
  type Address,
  addressBits,
  containsAddress,
  familyOf,
  lengthOf,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import {
  type Cie,
  cieCode,
  defaultHopCount,
  type NhrpMessage,
  type ResolutionRequest,
  uniquePrefixLength,
} from '#proto/model/nhrp.ts';
import type { Turn } from './event.ts';
import { claimedEndpoints } from './registration.ts';
import { announcedPrefixes } from './routing-state.ts';
import type { AgentState, Resolution, Shortcut } from './state.ts';

/** A Resolution Request (RFC 2332 5.2.1); a retry has the same id. */
export function sendRequest(state: AgentState, resolution: Resolution, turn: Turn): void {
  const { config } = state;
  if (!config) return;
  const cie: Cie = {
    code: cieCode.ok,
    prefixLength: uniquePrefixLength,
    mtu: config.mtu,
    holdingTime: config.holdingTime,
    nbma: claimedEndpoints(state),
    protocolAddress: resolution.source,
    preference: 0,
  };
  const message: NhrpMessage<ResolutionRequest> = {
    hopCount: defaultHopCount,
    requestId: resolution.requestId,
    sourceNbma: claimedEndpoints(state)[0],
    source: resolution.source,
    destination: resolution.destination,
    extensions: [],
    body: {
      type: 'resolution-request',
      // A host alone is none (RFC 2332 5.2.1).
      router: config.prefixes.length > 0,
      // After a purge that is recommended (RFC 2332 5.2.5), and the registry gives no other answers.
      authoritativeOnly: true,
      unique: false,
      sourceStable: true,
      cies: [cie],
      target: undefined,
    },
  };
  turn.effects.push({ kind: 'send', message: { type: 'nhrp', message } });
}

/** Of the extensions that RFC 2332 defines, those that may be left alone: responder address, transit records, vendor-private. */
const harmless: ReadonlySet<number> = new Set([3, 4, 5, 8]);

/** Whether who answers would have to understand an extension that it does not know (RFC 2332 5.3): error 1. */
export function hasUnknown({ extensions }: NhrpMessage): boolean {
  return extensions.some(({ type, compulsory }) => compulsory && !harmless.has(type));
}

/** An Error Indication (RFC 2332 5.2.7) about a message of the registry, to who sent it. */
export function sendError(state: AgentState, offender: NhrpMessage, code: number, turn: Turn): void {
  const { config } = state;
  if (!config) return;
  const message: NhrpMessage = {
    hopCount: defaultHopCount,
    requestId: offender.requestId,
    sourceNbma: claimedEndpoints(state)[0],
    source: config.address,
    destination: offender.body.type === 'resolution-reply' ? offender.destination : offender.source,
    extensions: [],
    body: { type: 'error-indication', code, offset: 0, contents: new Uint8Array() },
  };
  turn.effects.push({ kind: 'send', message: { type: 'nhrp', message } });
}

/**
 * What the CIE of a resolution is about: the prefix of its length around the address in question. Its protocol address is the
 * next hop's own (RFC 2332 5.2.0.1).
 */
export function prefixAround(address: Address, cie: Cie): Prefix {
  const bits = addressBits(familyOf(address));
  return prefixOf(address, cie.prefixLength === uniquePrefixLength ? bits : Math.min(cie.prefixLength, bits));
}

/** The prefix that a CIE names; undefined if it names none. */
export function ciePrefix(cie: Cie): Prefix | undefined {
  return cie.protocolAddress && prefixAround(cie.protocolAddress, cie);
}

/** Whether the registry gave the address to this node, or this node announces a prefix around it. */
export function isOwn(state: AgentState, address: Address): boolean {
  const { config } = state;
  if (!config) return false;
  if (address === config.address || address === config.address6) return true;
  for (const prefix of announcedPrefixes(state.routing)) if (containsAddress(prefix, address)) return true;
  return false;
}

/** The cached binding of the longest prefix that covers the address. */
export function matchShortcut(state: AgentState, address: Address): Shortcut | undefined {
  let best: Shortcut | undefined;
  for (const shortcut of state.shortcuts.values()) {
    if (!containsAddress(shortcut.prefix, address)) continue;
    if (!best || lengthOf(shortcut.prefix) > lengthOf(best.prefix)) best = shortcut;
  }
  return best;
}
