// What RFC 2332 5.2.1 demands of a Resolution Request, and of the servers that it passes.
import { type Address, addressBits, familyOf, lengthOf, type Prefix, prefixOf } from '#proto/model/address.ts';
import { errorCode, type NhrpMessage, type ResolutionRequest, uniquePrefixLength } from '#proto/model/nhrp.ts';
import type { NodeRecord } from './records.ts';
import { headerError, isOwn } from './reply.ts';
import { holdersOf } from './scope.ts';
import type { Snapshot } from './state.ts';
import { extensionError, relayed, type Server } from './transit.ts';

/** The way of a request. */
export interface ServerPath {
  /** Who answers. */
  readonly server?: Server | undefined;
  /** The replica with the target's session, by which the request goes on to the target; undefined: the one that answers. */
  readonly via?: Server | undefined;
}

/** The error that a request deserves. At most one CIE; U implies that it is about exactly one address, a holding time that the source is stable (RFC 2332 5.2.1). */
export function requestError(
  snapshot: Snapshot,
  asker: NodeRecord | undefined,
  request: NhrpMessage<ResolutionRequest>,
  server: Server | undefined,
): number | undefined {
  const { cies, unique, sourceStable } = request.body;
  const error = asker ? headerError(asker, request, server) : extensionError(request, server);
  if (error !== undefined) return error;
  const first = cies[0];
  if (cies.length > 1 || (unique && first && first.prefixLength !== uniquePrefixLength)) return errorCode.protocolError;
  if (first && first.holdingTime > 0 && !sourceStable) return errorCode.protocolError;
  return sourceError(snapshot, asker, request.source);
}

/** The target sends straight to the asker what goes to the source: that must be its own, and nobody's inside its networks. */
function sourceError(snapshot: Snapshot, asker: NodeRecord | undefined, source: Address): number | undefined {
  const own = !asker || isOwn(asker, source) || holdersOf(snapshot, source).includes(asker.id);
  return own ? undefined : errorCode.authenticationFailure;
}

/** The error at one of the servers between the asker and the target: 15 the hops do not suffice, 3 it was there before. */
export function pathError(request: NhrpMessage, { server, via }: ServerPath): number | undefined {
  let onward: NhrpMessage | number = relayed(request, server);
  if (via && typeof onward !== 'number') onward = relayed(onward, via);
  return typeof onward === 'number' ? onward : undefined;
}

/** The CIE of a request may say the widest prefix that the answer may have; 0xFF says nothing (RFC 2332 5.2.1, 5.2.0.1). */
export function narrowed(prefix: Prefix, destination: Address, widest: number): Prefix {
  if (widest === uniquePrefixLength || widest <= lengthOf(prefix)) return prefix;
  return prefixOf(destination, Math.min(widest, addressBits(familyOf(destination))));
}
