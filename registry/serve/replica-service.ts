import { decodeRegistryMessage } from '#proto/codec/session.ts';
import type { PushRequest, PushResponse, ReplicaServiceServer } from '#proto/gen/dmwg/v1/replica.ts';
import { parseNodeId } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { ReplicaRecord } from '#registry/decide/records.ts';
import type { Authenticate } from './caller.ts';
import type { NhrpParts } from './nhrp-service.ts';
import { unary } from './unary.ts';

/** What other replicas ask of the sessions here. */
export function replicaService(parts: NhrpParts, authenticate: Authenticate): ReplicaServiceServer {
  const { context, sessions } = parts;
  return {
    push: unary(context, authenticate, ['registry'], (request) => {
      const meant = isMeant(context.self, request);
      return meant.ok ? push(parts, request) : meant;
    }),
    measure: unary(context, authenticate, ['registry'], async (request) => {
      const meant = isMeant(context.self, request);
      if (!meant.ok) return meant;
      const node = parseNodeId(request.nodeId);
      if (!node.ok) return node;
      const session = sessions.open.get(node.value);
      const connected = session?.greeted === true && !session.ended;
      return Promise.resolve(ok({ connected, rttMs: Math.round(session?.meter.rtt ?? 0) }));
    }),
  };
}

/** An address that leads to several replicas, or to the wrong one, must not look like a node that is not connected. */
function isMeant(self: ReplicaRecord, { replicaId }: { readonly replicaId: string }): Result<void> {
  if (replicaId === '' || replicaId === self.id) return ok(undefined);
  const help = 'give each replica its own address with --advertise HOST:PORT';
  return fail('wrong-replica', `this is replica ${self.id}, not ${replicaId}: ${help}`);
}

/** A message for a node whose session is here. */
export function push({ responder }: Pick<NhrpParts, 'responder'>, request: PushRequest): Result<PushResponse> {
  const node = parseNodeId(request.nodeId);
  if (!node.ok) return node;
  const message = request.message && decodeRegistryMessage(request.message);
  if (!message?.ok || message.value.type !== 'nhrp') return fail('bad-request', 'message: must be an NHRP message');
  return ok({ delivered: responder.relay(node.value, message.value.message) });
}
