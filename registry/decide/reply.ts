// What all answers to NHRP messages have in common.
import { type Address, containsAddress, familyOf } from '#proto/model/address.ts';
import {
  defaultHopCount,
  errorCode,
  type ErrorIndication,
  type NhrpBody,
  type NhrpMessage,
} from '#proto/model/nhrp.ts';
import { addressesOf, addressFor, allowedBy } from './node.ts';
import type { NodeRecord } from './records.ts';
import { extensionError, type Server, signed } from './transit.ts';

/** An answer: the header of the request, a new body, its extensions in their order (RFC 2332 5.3), signed if it asks for that. */
export function answer<B extends NhrpBody>(request: NhrpMessage, body: B, server: Server | undefined): NhrpMessage<B> {
  return signed({ ...request, hopCount: defaultHopCount, body }, server);
}

/** Who found the error, and the node that sent what is wrong: a tool of an operator is none. */
export interface Finding {
  readonly server: Server | undefined;
  readonly sender: NodeRecord | undefined;
}

/**
 * RFC 2332 5.2.7: about `request`, from who found the error to who sent it, whatever source that said. Contents are left out: on a
 * session the request id says which it was.
 */
export function errorAbout(
  request: NhrpMessage,
  code: number,
  { server, sender }: Finding,
): NhrpMessage<ErrorIndication> {
  const family = familyOf(request.source);
  const own = sender === undefined || speaksFor(sender, request.source);
  return {
    ...request,
    hopCount: defaultHopCount,
    sourceNbma: undefined,
    source: server?.[family] ?? request.destination,
    destination: own ? request.source : addressFor(sender, family),
    extensions: [],
    body: { type: 'error-indication', code, offset: 0, contents: new Uint8Array() },
  };
}

/**
 * The error that every request of a node may deserve: 15 hop count exceeded, 11 a source that is not the sender's, and those of
 * its extensions (transit.ts).
 */
export function headerError(node: NodeRecord, request: NhrpMessage, server: Server | undefined): number | undefined {
  if (request.hopCount < 1) return errorCode.hopCountExceeded;
  if (!speaksFor(node, request.source)) return errorCode.authenticationFailure;
  return extensionError(request, server);
}

/** Its own addresses, and those of the hosts in the networks that it may announce. */
function speaksFor(node: NodeRecord, address: Address): boolean {
  return (
    isOwn(node, address) || [...node.prefixes, ...allowedBy(node)].some((prefix) => containsAddress(prefix, address))
  );
}

export function isOwn(node: NodeRecord, address: Address): boolean {
  return addressesOf(node).includes(address);
}
