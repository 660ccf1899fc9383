import {
  type Address,
  familyOf,
  hostPrefix,
  isHostPrefix,
  isMulticast,
  lengthOf,
  type Prefix,
} from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import {
  type Cie,
  cieCode,
  type ErrorIndication,
  type NhrpMessage,
  type Rendezvous,
  type ResolutionReply,
  type ResolutionRequest,
  type Target,
  uniquePrefixLength,
} from '#proto/model/nhrp.ts';
import { type Milliseconds, type Seconds, seconds, type Timestamp } from '#proto/model/time.ts';
import { addressFor, announcedBy, isBehindNat, liveBinding, multipointOf, nbmaOf, remaining } from './node.ts';
import type { BindingRecord, NodeRecord } from './records.ts';
import { rendezvous, type RendezvousPair } from './rendezvous.ts';
import { answer, errorAbout } from './reply.ts';
import { narrowed, pathError, requestError, type ServerPath } from './resolution-rules.ts';
import { routeTo, type View } from './rib.ts';
import { scopeOf } from './scope.ts';
import type { Snapshot } from './state.ts';
import { relayed, type Server } from './transit.ts';

export interface ResolutionContext extends ServerPath {
  readonly now: Timestamp;
  /** Round trip of the asker's session; undefined without one. */
  readonly askerRtt: Milliseconds | undefined;
  /** Round trip of the target's session; undefined while it is not connected: then nobody can tell it to start. */
  readonly targetRtt: Milliseconds | undefined;
}

export interface ResolutionOutcome {
  readonly reply: NhrpMessage<ResolutionReply> | NhrpMessage<ErrorIndication>;
  /** For the node that was asked for, so that it prepares its side. To be sent with the reply. */
  readonly forward: { readonly to: NodeId; readonly message: NhrpMessage<ResolutionRequest> } | undefined;
  /** What the asker was told, which is to be purged when it is no longer so. Undefined for a refusal. */
  readonly told: { readonly prefix: Prefix; readonly about: NodeId } | undefined;
}

/** The node behind an address, if its binding holds: whose round trip the caller measures before it resolves. */
export function targetOf(snapshot: Snapshot, destination: Address, view: View): NodeId | undefined {
  return routeTo(snapshot, destination, view)?.node;
}

/** RFC 2332 5.2.1 and 5.2.2, answered from the snapshot alone. `asker` undefined: a tool of an operator. */
export function resolve(
  snapshot: Snapshot,
  asker: NodeRecord | undefined,
  request: NhrpMessage<ResolutionRequest>,
  context: ResolutionContext,
): ResolutionOutcome {
  const error = requestError(snapshot, asker, request, context.server);
  const refuse = (code: number): ResolutionOutcome => {
    const reply = errorAbout(request, code, { server: context.server, sender: asker });
    return { reply, forward: undefined, told: undefined };
  };
  if (error !== undefined) return refuse(error);
  const found = find(snapshot, asker, request, context.now);
  if (typeof found === 'number')
    return { reply: refusal(request, found, context.server), forward: undefined, told: undefined };

  const askerBinding = asker && liveBinding(snapshot, asker.id, context.now);
  const meets = asker?.role === 'spoke' && found.node.role === 'spoke';
  const pair = meets && askerBinding ? meet(askerBinding, found.binding, context) : undefined;
  const blocked = pair && pathError(request, context);
  if (blocked !== undefined) return refuse(blocked);
  const reply = answer(
    request,
    {
      type: 'resolution-reply',
      router: request.body.router,
      authoritative: true,
      destinationStable: true,
      unique: request.body.unique,
      sourceStable: request.body.sourceStable,
      cies: [bindingCie(found.binding, found.node, found.prefix, context.now)],
      target: targetValue(found.node, found.binding, pair?.asker),
    },
    context.server,
  );
  const told = { prefix: found.prefix, about: found.node.id };
  if (!asker || !askerBinding || !pair) return { reply, forward: undefined, told };
  const view = { now: context.now, asker: found.node.id };
  const back = { node: asker, binding: askerBinding, ...wayBack(snapshot, asker, request.source, view) };
  const message = introduce(request, back, pair.target, context);
  return { reply, told, forward: message && { to: found.node.id, message } };
}

interface Found {
  readonly node: NodeRecord;
  readonly binding: BindingRecord;
  readonly prefix: Prefix;
}

/** What the request is about, or the code of its refusal. */
function find(
  snapshot: Snapshot,
  asker: NodeRecord | undefined,
  request: NhrpMessage<ResolutionRequest>,
  now: Timestamp,
): Found | number {
  if (!snapshot.overlay) return cieCode.noResources;
  if (asker && snapshot.overlay.phase === 1) return cieCode.prohibited;
  if (isMulticast(request.destination)) return cieCode.noBinding;
  const scope = scopeOf(snapshot, request.destination, { now, asker: asker?.id });
  const node = scope && snapshot.nodes.get(scope.node);
  const binding = scope && liveBinding(snapshot, scope.node, now);
  if (!node || !binding || !multipointOf(binding)) return cieCode.noBinding;
  if (node.id === asker?.id) return cieCode.prohibited;
  const widest = request.body.cies[0]?.prefixLength ?? uniquePrefixLength;
  const isAddress = node.address === request.destination || node.address6 === request.destination;
  if (request.body.unique && !(isAddress && binding.unique)) return cieCode.notUnique;
  return { node, binding, prefix: narrowed(scope.prefix, request.destination, widest) };
}

function meet(asker: BindingRecord, target: BindingRecord, context: ResolutionContext): RendezvousPair | undefined {
  if (context.askerRtt === undefined || context.targetRtt === undefined || !multipointOf(asker)) return undefined;
  return rendezvous({ binding: asker, rtt: context.askerRtt }, { binding: target, rtt: context.targetRtt });
}

/** The request as it goes on to the node that was asked for: with who asks, and where and when to meet it. */
function introduce(
  request: NhrpMessage<ResolutionRequest>,
  { node, binding, source, prefix }: Found & WayBack,
  meeting: Rendezvous,
  { now, server }: ResolutionContext,
): NhrpMessage<ResolutionRequest> | undefined {
  const onward = relayed(request, server);
  if (typeof onward === 'number') return undefined;
  const known = bindingCie(binding, node, prefix, now);
  // What is not stable must not be cached (RFC 2332 6.2.1).
  const cie = request.body.sourceStable ? known : { ...known, holdingTime: seconds(0) };
  const target = targetValue(node, binding, meeting);
  return { ...onward, source, body: { ...request.body, cies: [cie], target } };
}

interface WayBack {
  readonly source: Address;
  readonly prefix: Prefix;
}

/**
 * What the asked node may send straight to the asker: the network of the source, if the asker announces it. Otherwise only the
 * asker's own address, as nobody who asked for the source would be answered.
 */
function wayBack(snapshot: Snapshot, asker: NodeRecord, source: Address, view: View): WayBack {
  const scope = scopeOf(snapshot, source, view);
  if (scope?.node === asker.id) return { source, prefix: scope.prefix };
  const own = addressFor(asker, familyOf(source));
  return { source: own, prefix: hostPrefix(own) };
}

/** The CIE of a binding: its prefix is around the request's address, its protocol address the node's own. */
export function bindingCie(binding: BindingRecord, node: NodeRecord, prefix: Prefix, now: Timestamp): Cie {
  return {
    code: cieCode.ok,
    prefixLength: isHostPrefix(prefix) ? uniquePrefixLength : lengthOf(prefix),
    mtu: binding.mtu,
    holdingTime: bounded(remaining(binding, now)),
    nbma: nbmaOf(node, binding),
    protocolAddress: addressFor(node, familyOf(prefix)),
    preference: 0,
  };
}

export function targetValue(
  node: NodeRecord,
  binding: BindingRecord,
  meeting: Rendezvous | undefined,
): Target | undefined {
  const multipoint = multipointOf(binding);
  return (
    multipoint && {
      node: node.id,
      name: node.name,
      address: node.address,
      address6: node.address6,
      prefixes: announcedBy(binding),
      publicKey: multipoint.publicKey,
      nat: isBehindNat(binding),
      rendezvous: meeting,
    }
  );
}

/** One CIE with nothing but its code (RFC 2332 5.2.2). */
function refusal(
  request: NhrpMessage<ResolutionRequest>,
  code: number,
  server: Server | undefined,
): NhrpMessage<ResolutionReply> {
  const cie: Cie = {
    code,
    prefixLength: uniquePrefixLength,
    mtu: 0,
    holdingTime: seconds(0),
    nbma: [],
    protocolAddress: undefined,
    preference: 0,
  };
  return answer(
    request,
    {
      type: 'resolution-reply',
      router: request.body.router,
      authoritative: false,
      destinationStable: false,
      unique: request.body.unique,
      sourceStable: request.body.sourceStable,
      cies: [cie],
      target: undefined,
    },
    server,
  );
}

/** The field has 16 bits. */
function bounded(holding: Seconds): Seconds {
  return seconds(Math.min(holding, 65_535));
}
