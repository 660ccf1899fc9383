import { decodeRegistryMessage } from '#proto/codec/session.ts';
import type { PushRequest, PushResponse, ReplicaServiceServer } from '#proto/gen/dmwg/v1/replica.ts';
import { parseNodeId } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Authenticate } from './caller.ts';
import type { Answers } from './answers.ts';
import type { NhrpParts } from './nhrp-service.ts';
import { unary } from './unary.ts';

/** What other replicas ask of the sessions here. */
export function replicaService(
  parts: NhrpParts & { readonly answers: Answers },
  authenticate: Authenticate,
): ReplicaServiceServer {
  const { context, sessions } = parts;
  return {
    push: unary(context, authenticate, ['registry'], (request) => push(parts, request)),
    measure: unary(context, authenticate, ['registry'], async (request) => {
      const node = parseNodeId(request.nodeId);
      if (!node.ok) return node;
      const session = sessions.open.get(node.value);
      const connected = session?.greeted === true && !session.ended;
      return Promise.resolve(ok({ connected, rttMs: Math.round(session?.meter.rtt ?? 0) }));
    }),
  };
}

/** What another replica begins to purge is purged from here on: here the acknowledgement arrives. */
export function push({ responder }: Pick<NhrpParts, 'responder'>, request: PushRequest): Result<PushResponse> {
  const node = parseNodeId(request.nodeId);
  if (!node.ok) return node;
  const message = request.message && decodeRegistryMessage(request.message);
  if (!message?.ok || message.value.type !== 'nhrp') return fail('bad-request', 'message: must be an NHRP message');
  return ok({ delivered: responder.relay(node.value, message.value.message) });
}
