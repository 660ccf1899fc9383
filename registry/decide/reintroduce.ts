import { familyOf, networkOf, type Prefix } from '#proto/model/address.ts';
import { defaultHopCount, type NhrpMessage, type ResolutionRequest } from '#proto/model/nhrp.ts';
import type { Milliseconds, Timestamp } from '#proto/model/time.ts';
import { addressFor, liveBinding, multipointOf, nbmaOf } from './node.ts';
import type { BindingRecord, NodeRecord } from './records.ts';
import { rendezvous } from './rendezvous.ts';
import { bindingCie, targetValue } from './resolve.ts';
import type { Snapshot } from './state.ts';

export interface End {
  readonly node: NodeRecord;
  /** Round trip of its session. */
  readonly rtt: Milliseconds;
}

export interface Reintroduction {
  /** Who is told, and knows that the prefix leads to `about`. */
  readonly to: End;
  readonly about: End;
  readonly prefix: Prefix;
  readonly requestId: number;
  readonly now: Timestamp;
}

/** Where a node is, as far as it matters to others: a change of it is a roam. */
export function placeOf(node: NodeRecord, binding: BindingRecord): string {
  return nbmaOf(node, binding).sort().join();
}

/**
 * For a pair of which one has moved: what each would be told if the other asked for it now (RFC 2332 5.2.1), with a new rendezvous that
 * is the same whichever end it is made for. Undefined when there is nothing to tell any more.
 */
export function reintroduce(
  snapshot: Snapshot,
  { to, about, prefix, requestId, now }: Reintroduction,
): NhrpMessage<ResolutionRequest> | undefined {
  const here = liveBinding(snapshot, to.node.id, now);
  const there = liveBinding(snapshot, about.node.id, now);
  if (!here || !there || !multipointOf(here) || to.node.role !== 'spoke' || about.node.role !== 'spoke')
    return undefined;
  const one = { binding: here, rtt: to.rtt };
  const other = { binding: there, rtt: about.rtt };
  const isFirst = to.node.id < about.node.id;
  const meeting = isFirst ? rendezvous(one, other).asker : rendezvous(other, one).target;
  const target = targetValue(about.node, there, meeting);
  if (!target) return undefined;
  const cie = bindingCie(there, about.node, prefix, now);
  return {
    hopCount: defaultHopCount,
    requestId,
    sourceNbma: cie.nbma[0],
    source: networkOf(prefix),
    destination: addressFor(to.node, familyOf(prefix)),
    extensions: [],
    body: {
      type: 'resolution-request',
      router: true,
      authoritativeOnly: false,
      unique: false,
      sourceStable: true,
      cies: [cie],
      target,
    },
  };
}
