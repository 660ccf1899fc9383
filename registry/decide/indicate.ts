import { isMulticast } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { errorCode, type NhrpMessage, type TrafficIndication } from '#proto/model/nhrp.ts';
import { milliseconds, type Timestamp } from '#proto/model/time.ts';
import type { NodeRecord } from './records.ts';
import { isOwn } from './reply.ts';
import { routeTo } from './rib.ts';
import type { Snapshot } from './state.ts';
import { relayed, type Server } from './transit.ts';

export interface Indication {
  readonly to: NodeId;
  /** The node behind the destination: with `to` the pair that is limited. */
  readonly about: NodeId;
  readonly message: NhrpMessage<TrafficIndication>;
}

/** The same pair of nodes is indicated at most once in this time: the kernel's set limits pairs of addresses already. */
export const indicationGap = milliseconds(500);

/**
 * DMVPN's redirect, from a hub to the spoke that sent the packet. Undefined, without an answer, for whatever the rules exclude:
 * phase 1, multicast, the hub's own addresses, unknown ends, both ends on one node, source no spoke. A number: the error that the
 * sender gets, as it is no hub (7) or the message may not go on (3, 15).
 */
export function indicate(
  snapshot: Snapshot,
  hub: NodeRecord,
  message: NhrpMessage<TrafficIndication>,
  { now, server }: { readonly now: Timestamp; readonly server?: Server | undefined },
): Indication | number | undefined {
  if (hub.role !== 'hub') return errorCode.protocolError;
  const onward = relayed(message, server);
  if (typeof onward === 'number') return onward;
  if (snapshot.overlay?.phase === 1) return undefined;
  const { source, destination } = message;
  if (isMulticast(source) || isMulticast(destination) || isOwn(hub, source) || isOwn(hub, destination))
    return undefined;
  const from = routeTo(snapshot, source, { now })?.node;
  const to = routeTo(snapshot, destination, { now, asker: from })?.node;
  if (from === undefined || to === undefined || from === to || from === hub.id || to === hub.id) return undefined;
  if (snapshot.nodes.get(from)?.role !== 'spoke') return undefined;
  return { to: from, about: to, message: onward };
}
