import { parseAddress } from '#proto/model/address.ts';
import { defaultHopCount, errorCode, type ErrorIndication, type NhrpMessage } from '#proto/model/nhrp.ts';
import type { NodeRecord } from '#registry/decide/records.ts';

/** What can be told of a message that cannot be read. */
export interface Unreadable {
  readonly requestId: number;
  readonly source: string;
  readonly destination: string;
  readonly isError: boolean;
}

/** RFC 2332 5.2.7: protocol error, to the node that sent it. */
export function errorAboutUnreadable(node: NodeRecord, message: Unreadable): NhrpMessage<ErrorIndication> {
  const source = parseAddress(message.source);
  const destination = parseAddress(message.destination);
  return {
    hopCount: defaultHopCount,
    requestId: message.requestId >>> 0,
    sourceNbma: undefined,
    source: source.ok ? source.value : node.address,
    destination: destination.ok ? destination.value : node.address,
    extensions: [],
    body: { type: 'error-indication', code: errorCode.protocolError, offset: 0, contents: new Uint8Array() },
  };
}
