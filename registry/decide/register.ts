import { type Address, addressBits, familyOf, type Prefix } from '#proto/model/address.ts';
import { linkAddress, type PublicKey } from '#proto/model/key.ts';
import {
  type Cie,
  cieCode,
  errorCode,
  type ErrorIndication,
  type NhrpMessage,
  type NodeInterface,
  type RegistrationReply,
  type RegistrationRequest,
  uniquePrefixLength,
} from '#proto/model/nhrp.ts';
import { type Seconds, seconds, type Timestamp } from '#proto/model/time.ts';
import { announce, review, type Wish, wishOf } from './announce.ts';
import { type Damping, dampedOf, flapped, type Flaps, noFlaps } from './damping.ts';
import { sameValue } from './equal.ts';
import { revival } from './expire.ts';
import { observedEndpoints, transaction } from './node.ts';
import type { BindingRecord, NodeRecord, OverlayRecord } from './records.ts';
import { stillSeen } from './observe.ts';
import { answer, errorAbout, headerError, isOwn } from './reply.ts';
import type { Key, Put, Snapshot, Transaction } from './state.ts';
import type { Server } from './transit.ts';

export interface RegistrationContext {
  readonly now: Timestamp;
  readonly agentVersion: string;
  /** Who answers. */
  readonly server?: Server | undefined;
  /** What the node's prefixes did lately; absent: nothing is damped. */
  readonly damping?: Damping | undefined;
}

export interface RegistrationOutcome {
  readonly reply: NhrpMessage<RegistrationReply> | NhrpMessage<ErrorIndication>;
  /** Undefined when nothing changes: a refresh, or a refusal. To be committed before the reply is sent. */
  readonly transaction: Transaction | undefined;
  /** A registration that was lost came back as it was: the reply need not wait for the write (expire.ts, `revive`). */
  readonly revived?: boolean;
  /** What the node's prefixes did lately, with this. */
  readonly flaps?: Flaps | undefined;
}

/** Removing a node takes its keys and prefixes away in one transaction, of 128 operations at most. */
const mostInterfaces = 32;
const mostEndpoints = 16;
/** The field has 16 bits (RFC 2332 5.2.0.1). */
const longestHolding = 65_535;

/**
 * RFC 2332 5.2.3. A request with U binds one address of the node itself and carries its interfaces; one without U carries
 * the whole list of announced prefixes, and own addresses that are to be bound without U. Each replaces what the node said before, and leaves the other part alone.
 * A node that comes with a new key or endpoint roams: it replaces its own binding at once.
 */
export function register(
  snapshot: Snapshot,
  node: NodeRecord,
  request: NhrpMessage<RegistrationRequest>,
  context: RegistrationContext,
): RegistrationOutcome {
  const { overlay } = snapshot;
  const { body } = request;
  const { server, now } = context;
  const error = headerError(node, request, server) ?? (wellFormed(body) ? undefined : errorCode.protocolError);
  if (error !== undefined)
    return { reply: errorAbout(request, error, { server, sender: node }), transaction: undefined };
  if (!overlay) return refuseAll(request, cieCode.noResources, server);
  const interfaceCode = interfacesCode(snapshot, overlay, node, body.interfaces);
  if (interfaceCode !== cieCode.ok) return refuseAll(request, interfaceCode, server);

  const previous = snapshot.bindings.get(node.id);
  const before = previous?.announcements ?? [];
  const isPrefix = (cie: Cie): boolean => !body.unique && !ownAddress(node, request, cie);
  const wishes = body.cies.map((cie) => (isPrefix(cie) ? wishOf(cie, clientAddress(request, cie)) : undefined));
  const kept = body.additive ? before : [];
  const flaps =
    context.damping && !body.unique ? flapped(context.damping, before, askedBy(wishes, body.additive)) : noFlaps;
  const damped = context.damping ? dampedOf(flaps, context.damping.now) : new Set<Prefix>();
  const verdicts = review(snapshot, node, { wishes, kept, limit: overlay.prefixLimit, damped });
  const codes = body.cies.map((cie, index) =>
    isPrefix(cie) ? (verdicts[index]?.code ?? cieCode.ok) : addressCode(node, request, cie),
  );
  const accepted = body.cies.filter((_, index) => codes[index] === cieCode.ok);
  if (body.unique && accepted.length === 0)
    return { reply: reply(request, { codes, holding: seconds(0), server }), transaction: undefined };

  const asked = accepted.filter(isPrefix);
  const announced = announce(before, previous?.refused ?? [], {
    wishes,
    verdicts,
    now,
    additive: body.additive,
    damped,
  });
  const interfaces = body.interfaces.length > 0 ? body.interfaces : (previous?.interfaces ?? []);
  const first = accepted[0];
  const binding: BindingRecord = {
    node: node.id,
    interfaces,
    ...(body.unique ? { announcements: before, refused: previous?.refused ?? [] } : announced),
    unique: body.unique || (asked.length === accepted.length && (previous?.unique ?? false)),
    mtu: first?.mtu ?? previous?.mtu ?? 0,
    holdingTime: first ? holdingTime(first, overlay) : (previous?.holdingTime ?? overlay.holdingTime),
    registeredAt: previous?.registeredAt ?? now,
    agentVersion: context.agentVersion,
    observed: stillSeen(previous, interfaces),
    lostAt: undefined,
  };
  const changed = !previous || !sameValue(previous, binding);
  const revived = previous && sameValue(revival(previous, context.agentVersion), binding);
  return {
    reply: reply(request, { codes, holding: binding.holdingTime, binding, server }),
    transaction: changed ? write(snapshot, previous, binding) : undefined,
    revived: changed && revived === true,
    flaps: body.unique ? undefined : flaps,
  };
}

/** With which preference a request wants a prefix. */
function askedBy(
  wishes: readonly (Wish | undefined)[],
  additive: boolean,
): (prefix: Prefix, before: number | undefined) => number | undefined {
  const asked = new Map(wishes.map((wish) => [wish?.prefix, wish?.preference] as const));
  return (prefix, before) => asked.get(prefix) ?? (additive ? before : undefined);
}

function write(snapshot: Snapshot, previous: BindingRecord | undefined, binding: BindingRecord): Transaction {
  const before = new Set(previous?.interfaces.map((one) => one.publicKey));
  const now = new Set(binding.interfaces.map((one) => one.publicKey));
  // A key that the index already gives to this node is claimed, whatever its old binding says.
  const added = [...now].filter((key) => !before.has(key) && snapshot.nodeByKey.get(key) !== binding.node);
  const removed = [...before].filter((key) => !now.has(key));
  const claims: Put[] = added.map((publicKey) => ({ kind: 'claim-key', publicKey, node: binding.node }));
  const absent: Key[] = added.map((publicKey) => ({ kind: 'claim-key', publicKey }));
  return transaction({
    absent,
    unchanged: [
      { kind: 'node', id: binding.node },
      { kind: 'binding', id: binding.node },
    ],
    put: [{ kind: 'binding', record: binding }, ...claims],
    delete: removed.map((publicKey) => ({ kind: 'claim-key', publicKey })),
  });
}

/** U implies one CIE for exactly one address (RFC 2332 5.2.3). */
function wellFormed(body: RegistrationRequest): boolean {
  return !body.unique || (body.cies.length === 1 && body.cies[0]?.prefixLength === uniquePrefixLength);
}

/** Whether the CIE is about an address of the node itself: without U it may be registered by others, too. */
function ownAddress(node: NodeRecord, request: NhrpMessage, cie: Cie): boolean {
  const address = clientAddress(request, cie);
  if (!isOwn(node, address)) return false;
  return cie.prefixLength === uniquePrefixLength || cie.prefixLength === addressBits(familyOf(address));
}

/** A CIE without an address is about the source (RFC 2332 5.2.3). */
function clientAddress(request: NhrpMessage, cie: Cie): Address {
  return cie.protocolAddress ?? request.source;
}

function addressCode(node: NodeRecord, request: NhrpMessage, cie: Cie): number {
  return isOwn(node, clientAddress(request, cie)) ? cieCode.ok : cieCode.prohibited;
}

function interfacesCode(
  snapshot: Snapshot,
  overlay: OverlayRecord,
  node: NodeRecord,
  interfaces: readonly NodeInterface[],
): number {
  if (interfaces.length === 0) return snapshot.bindings.has(node.id) ? cieCode.ok : cieCode.prohibited;
  if (interfaces.length > mostInterfaces) return cieCode.noResources;
  if (interfaces.some((one) => one.endpoints.length > mostEndpoints)) return cieCode.noResources;
  const keys = interfaces.map((one) => one.publicKey);
  if (new Set(keys).size !== keys.length) return cieCode.prohibited;
  if (interfaces.filter((one) => one.kind === 'multipoint').length > 1) return cieCode.prohibited;
  const known = new Set(snapshot.bindings.get(node.id)?.interfaces.map((one) => one.publicKey));
  const added = keys.filter((key) => !known.has(key));
  return added.some((key) => isForeign(snapshot, overlay, node, key)) ? cieCode.alreadyRegistered : cieCode.ok;
}

/** Whether another node has the key, or a key with the same link address. */
function isForeign(snapshot: Snapshot, overlay: OverlayRecord, node: NodeRecord, key: PublicKey): boolean {
  const owner = snapshot.nodeByKey.get(key);
  if (owner !== undefined) return owner !== node.id;
  const start = key.slice(0, 10);
  for (const [other, holder] of snapshot.nodeByKey) {
    if (holder === node.id || !other.startsWith(start)) continue;
    if (linkAddress(overlay.linkPrefix, other) === linkAddress(overlay.linkPrefix, key)) return true;
  }
  return false;
}

function holdingTime(cie: Cie, overlay: OverlayRecord): Seconds {
  return cie.holdingTime > 0 ? seconds(Math.min(cie.holdingTime, longestHolding)) : overlay.holdingTime;
}

/** Refuses every CIE of a request. */
export function refuseAll(
  request: NhrpMessage<RegistrationRequest>,
  code: number,
  server?: Server,
): RegistrationOutcome {
  const codes = request.body.cies.map(() => code);
  return { reply: reply(request, { codes, holding: seconds(0), server }), transaction: undefined };
}

interface Answer {
  /** One a CIE. */
  readonly codes: readonly number[];
  readonly holding: Seconds;
  readonly binding?: BindingRecord;
  readonly server: Server | undefined;
}

function reply(
  request: NhrpMessage<RegistrationRequest>,
  { codes, holding, binding, server }: Answer,
): NhrpMessage<RegistrationReply> {
  const cies = request.body.cies.map((cie, index): Cie => {
    const code = codes[index] ?? cieCode.prohibited;
    return { ...cie, code, holdingTime: code === cieCode.ok ? holding : seconds(0) };
  });
  const observed = binding ? observedEndpoints(binding)[0] : undefined;
  return answer(
    request,
    {
      type: 'registration-reply',
      unique: request.body.unique,
      cies: [...cies],
      observedEndpoint: observed,
    },
    server,
  );
}
