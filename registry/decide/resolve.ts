import { type Address, familyOf, hostPrefix, isHostPrefix, lengthOf, type Prefix } from '#proto/model/address.ts';
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
import { addressFor, isBehindNat, liveBinding, multipointOf, nbmaOf, remaining } from './node.ts';
import type { BindingRecord, NodeRecord } from './records.ts';
import { rendezvous, type RendezvousPair } from './rendezvous.ts';
import { answer, errorAbout } from './reply.ts';
import { locate, type Located, type Refusal } from './locate.ts';
import { pathError, type ServerPath } from './resolution-rules.ts';
import type { View } from './rib.ts';
import { scopeOf } from './scope.ts';
import { sendableBy } from './sendable.ts';
import type { Snapshot } from './state.ts';
import { type Told, toldOf } from './told.ts';
import { relayed } from './transit.ts';

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
  readonly told: Told | undefined;
}

/** RFC 2332 5.2.1 and 5.2.2, answered from the snapshot alone. `asker` undefined: a tool of an operator. */
export function resolve(
  snapshot: Snapshot,
  asker: NodeRecord | undefined,
  request: NhrpMessage<ResolutionRequest>,
  context: ResolutionContext,
): ResolutionOutcome {
  const located = locate(snapshot, asker, request, context);
  if (located.kind === 'refusal') return refused(located);
  return answerAbout(snapshot, asker, request, { ...context, target: located });
}

export function refused({ reply }: Refusal): ResolutionOutcome {
  return { reply, forward: undefined, told: undefined };
}

/** What `locate` found on the same snapshot is the answer. */
export function answerAbout(
  snapshot: Snapshot,
  asker: NodeRecord | undefined,
  request: NhrpMessage<ResolutionRequest>,
  context: ResolutionContext & { readonly target: Located },
): ResolutionOutcome {
  const { target: found, server } = context;
  const askerBinding = asker && liveBinding(snapshot, asker.id, context.now);
  const meets = asker?.role === 'spoke' && found.node.role === 'spoke';
  const pair = meets && askerBinding ? meet(askerBinding, found.binding, context) : undefined;
  const blocked = pair && pathError(request, context);
  if (blocked !== undefined) {
    const reply = errorAbout(request, blocked, { server, sender: asker });
    return { reply, forward: undefined, told: undefined };
  }
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
    server,
  );
  const told = toldOf(snapshot, found.prefix, found.binding);
  if (!asker || !askerBinding || !pair) return { reply, forward: undefined, told };
  const view = { now: context.now, asker: found.node.id };
  const back = { node: asker, binding: askerBinding, ...wayBack(snapshot, asker, request.source, view) };
  const message = introduce(request, back, pair.target, context);
  return { reply, told, forward: message && { to: found.node.id, message } };
}

function meet(asker: BindingRecord, target: BindingRecord, context: ResolutionContext): RendezvousPair | undefined {
  if (context.askerRtt === undefined || context.targetRtt === undefined || !multipointOf(asker)) return undefined;
  return rendezvous({ binding: asker, rtt: context.askerRtt }, { binding: target, rtt: context.targetRtt });
}

/** The request as it goes on to the node that was asked for: with who asks, and where and when to meet it. */
function introduce(
  request: NhrpMessage<ResolutionRequest>,
  { node, binding, source, prefix }: Omit<Located, 'kind'> & WayBack,
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
      prefixes: sendableBy(node, binding),
      publicKey: multipoint.publicKey,
      nat: isBehindNat(binding),
      rendezvous: meeting,
    }
  );
}

/** The field has 16 bits. */
function bounded(holding: Seconds): Seconds {
  return seconds(Math.min(holding, 65_535));
}
