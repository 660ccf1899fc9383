import { familyOf, parseAddress } from '#proto/model/address.ts';
import { defaultHopCount, errorCode, type ErrorIndication, type NhrpMessage } from '#proto/model/nhrp.ts';
import { addressFor } from '#registry/decide/node.ts';
import type { NodeRecord } from '#registry/decide/records.ts';
import type { Server } from '#registry/decide/transit.ts';

/** What can be told of a message that cannot be read. */
export interface Unreadable {
  readonly requestId: number;
  readonly source: string;
  readonly isError: boolean;
}

/** RFC 2332 5.2.7: protocol error, to the node that sent it. */
export function errorAboutUnreadable(
  node: NodeRecord,
  message: Unreadable,
  server: Server | undefined,
): NhrpMessage<ErrorIndication> {
  const source = parseAddress(message.source);
  const destination = addressFor(node, source.ok ? familyOf(source.value) : 4);
  return {
    hopCount: defaultHopCount,
    requestId: message.requestId >>> 0,
    sourceNbma: undefined,
    source: server?.[familyOf(destination)] ?? destination,
    destination,
    extensions: [],
    body: { type: 'error-indication', code: errorCode.protocolError, offset: 0, contents: new Uint8Array() },
  };
}
