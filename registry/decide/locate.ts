import { isMulticast, type Prefix } from '#proto/model/address.ts';
import {
  type Cie,
  cieCode,
  type ErrorIndication,
  type NhrpMessage,
  type ResolutionReply,
  type ResolutionRequest,
  uniquePrefixLength,
} from '#proto/model/nhrp.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';
import { liveBinding, multipointOf } from './node.ts';
import type { BindingRecord, NodeRecord } from './records.ts';
import { answer, errorAbout } from './reply.ts';
import { narrowed, requestError } from './resolution-rules.ts';
import { scopeOf } from './scope.ts';
import type { Snapshot } from './state.ts';
import type { Server } from './transit.ts';

/** What a Resolution Request asks for. */
export interface Located {
  readonly kind: 'target';
  readonly node: NodeRecord;
  readonly binding: BindingRecord;
  /** That the answer is about. */
  readonly prefix: Prefix;
}

export interface Refusal {
  readonly kind: 'refusal';
  readonly reply: NhrpMessage<ResolutionReply> | NhrpMessage<ErrorIndication>;
}

/** So the caller learns whose round trip counts before the request is answered. */
export function locate(
  snapshot: Snapshot,
  asker: NodeRecord | undefined,
  request: NhrpMessage<ResolutionRequest>,
  { now, server }: { readonly now: Timestamp; readonly server?: Server | undefined },
): Located | Refusal {
  const error = requestError(snapshot, asker, request, server);
  if (error !== undefined) return { kind: 'refusal', reply: errorAbout(request, error, { server, sender: asker }) };
  const found = find(snapshot, asker, request, now);
  return typeof found === 'number' ? { kind: 'refusal', reply: refusal(request, found, server) } : found;
}

/** The code of the refusal, if it is one. */
function find(
  snapshot: Snapshot,
  asker: NodeRecord | undefined,
  request: NhrpMessage<ResolutionRequest>,
  now: Timestamp,
): Located | number {
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
  return { kind: 'target', node, binding, prefix: narrowed(scope.prefix, request.destination, widest) };
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
