import {
  type Address,
  addressBits,
  containsAddress,
  containsPrefix,
  familyOf,
  hostPrefix,
  lengthOf,
  networkOf,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import {
  type Cie,
  defaultHopCount,
  errorCode,
  type ErrorIndication,
  type NhrpMessage,
  type PurgeReply,
  type PurgeRequest,
  uniquePrefixLength,
} from '#proto/model/nhrp.ts';
import { seconds } from '#proto/model/time.ts';
import { addressesOf, addressFor, transaction } from './node.ts';
import { type Damping, dampedOf, flapped, type Flaps } from './damping.ts';
import type { NodeRecord } from './records.ts';
import { removeBinding } from './removal.ts';
import { answer, errorAbout, headerError } from './reply.ts';
import type { Snapshot, Transaction } from './state.ts';
import type { Server } from './transit.ts';

/** Every address there is. NHRP cannot say a prefix of length 0. */
export const everything = ['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1'] as readonly string[] as readonly Prefix[];

/** What a purge request is about. */
export function purgedBy(request: PurgeRequest): Prefix[] {
  return request.cies.map(classOf).filter((one) => one !== undefined);
}

/** RFC 2332 5.2.5, from the registry to a node: discard everything within these prefixes. */
export function purgeRequest(
  to: NodeRecord,
  prefixes: readonly Prefix[],
  requestId: number,
  server: Server | undefined,
): NhrpMessage<PurgeRequest> {
  const first = prefixes[0];
  const address: Address = addressFor(to, first === undefined ? 4 : familyOf(first));
  return {
    hopCount: defaultHopCount,
    requestId,
    sourceNbma: undefined,
    source: server?.[familyOf(address)] ?? address,
    destination: address,
    extensions: [],
    body: { type: 'purge-request', noReply: false, cies: prefixes.map(purgeCie) },
  };
}

export interface PurgeOutcome {
  /** Undefined when the request wants none. */
  readonly reply: NhrpMessage<PurgeReply> | NhrpMessage<ErrorIndication> | undefined;
  readonly transaction: Transaction | undefined;
  /** What the node's prefixes did lately, with this. */
  readonly flaps?: Flaps | undefined;
}

export interface PurgeContext {
  readonly server?: Server | undefined;
  /** Absent: nothing is damped. */
  readonly damping?: Damping | undefined;
}

/**
 * RFC 2332 5.2.5, from a node that leaves or withdraws: a class with an own address in it takes the whole binding away, any other
 * all announced prefixes within it. What is not its own matches nothing; a reply comes all the same (5.2.6).
 */
export function purgeByNode(
  snapshot: Snapshot,
  node: NodeRecord,
  request: NhrpMessage<PurgeRequest>,
  { server, damping }: PurgeContext = {},
): PurgeOutcome {
  const nameless = request.body.cies.some(({ protocolAddress }) => protocolAddress === undefined);
  const error = headerError(node, request, server) ?? (nameless ? errorCode.protocolError : undefined);
  if (error !== undefined)
    return { reply: errorAbout(request, error, { server, sender: node }), transaction: undefined };
  const reply = request.body.noReply
    ? undefined
    : answer(request, { ...request.body, type: 'purge-reply' as const }, server);
  const binding = snapshot.bindings.get(node.id);
  if (!binding) return { reply, transaction: undefined };
  const classes = purgedBy(request.body);
  if (classes.some((prefix) => addressesOf(node).some((address) => containsAddress(prefix, address)))) {
    return { reply, transaction: removeBinding(binding) };
  }
  const isPurged = (prefix: Prefix): boolean => classes.some((one) => containsPrefix(one, prefix));
  const asked = (prefix: Prefix, before: number | undefined): number | undefined =>
    isPurged(prefix) ? undefined : before;
  const flaps = damping && flapped(damping, binding.announcements, asked);
  const damped = damping && flaps && dampedOf(flaps, damping.now);
  const announcements = binding.announcements.filter(({ prefix }) => !isPurged(prefix));
  const refused = binding.refused.filter((one) => !isPurged(one.prefix) || (one.damped && damped?.has(one.prefix)));
  const isSame = announcements.length === binding.announcements.length && refused.length === binding.refused.length;
  if (isSame) return { reply, transaction: undefined, flaps };
  const put = [{ kind: 'binding', record: { ...binding, announcements, refused } }] as const;
  return { reply, transaction: transaction({ unchanged: [{ kind: 'binding', id: node.id }], put }), flaps };
}

function purgeCie(prefix: Prefix): Cie {
  const single = lengthOf(prefix) === addressBits(familyOf(prefix));
  return {
    code: 0,
    prefixLength: single ? uniquePrefixLength : lengthOf(prefix),
    mtu: 0,
    holdingTime: seconds(0),
    nbma: [],
    protocolAddress: networkOf(prefix),
    preference: 0,
  };
}

function classOf(cie: Cie): Prefix | undefined {
  if (cie.protocolAddress === undefined) return undefined;
  if (cie.prefixLength === uniquePrefixLength) return hostPrefix(cie.protocolAddress);
  const fits = cie.prefixLength <= addressBits(familyOf(cie.protocolAddress));
  return fits ? prefixOf(cie.protocolAddress, cie.prefixLength) : undefined;
}
