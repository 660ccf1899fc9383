import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import { decodeNhrp, encodeNhrp } from '#proto/codec/nhrp.ts';
import { decodeNodeMessage, encodeRegistryMessage } from '#proto/codec/session.ts';
import type {
  NhrpMessage as WireMessage,
  NhrpServiceServer,
  ResolveRequest,
  ResolveResponse,
  SessionRequest,
  SessionResponse,
} from '#proto/gen/dmwg/v1/nhrp.ts';
import type { ResolutionRequest } from '#proto/model/nhrp.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { resolve } from '#registry/decide/resolve.ts';
import { serverOf } from '#registry/decide/transit.ts';
import { type Authenticate, type Caller } from './caller.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { RegistryContext } from './context.ts';
import { serviceError } from './errors.ts';
import type { Responder } from './responder.ts';
import type { Sessions } from './sessions.ts';
import { Pace, paceOf } from './pace.ts';
import { refusal, unary } from './unary.ts';
import type { Unreadable } from './unreadable.ts';

export interface NhrpParts {
  readonly context: RegistryContext;
  readonly sessions: Sessions;
  readonly responder: Responder;
}

/** A node that connects and says nothing is cut off. */
const helloWithin = 10_000;

export function nhrpService(parts: NhrpParts, authenticate: Authenticate): NhrpServiceServer {
  return {
    session: (call) => {
      const caller = authenticate(call);
      const denied = !caller.ok ? caller : caller.value.kind === 'node' ? undefined : refusal(caller.value, ['node']);
      if (denied && !denied.ok) call.emit('error', serviceError(denied.fault));
      else if (caller.ok && caller.value.kind === 'node') serve(parts, call, caller.value);
    },
    resolve: unary(parts.context, authenticate, ['node', 'admin'], (request, caller) =>
      resolveOnce(parts.context, request, caller),
    ),
  };
}

/** One resolution for a tool: nobody is told to start a tunnel. */
export function resolveOnce(
  context: Pick<RegistryContext, 'store' | 'clock' | 'traffic' | 'self'>,
  request: ResolveRequest,
  caller: Caller,
): Result<ResolveResponse> {
  if (!request.message) return fail('bad-request', 'message: is required');
  const message = decodeNhrp(request.message);
  if (!message.ok) return message;
  const { body } = message.value;
  if (body.type !== 'resolution-request') return fail('bad-request', 'message: must be a resolution request');
  const asker = caller.kind === 'node' ? caller.node : undefined;
  const other = asker ?? { id: undefined, name: caller.kind };
  context.traffic.note('received', other, message.value);
  const question = { ...message.value, body: body satisfies ResolutionRequest };
  const now = context.clock.held();
  const snapshot = context.store.snapshot();
  const { overlay } = snapshot;
  const outcome = resolve(snapshot, asker, question, {
    now,
    askerRtt: undefined,
    targetRtt: undefined,
    server: overlay && serverOf(overlay, context.self),
  });
  context.traffic.note('sent', other, outcome.reply);
  return ok({ message: encodeNhrp(outcome.reply) });
}

function serve(
  { context, sessions, responder }: NhrpParts,
  call: ServerDuplexStream<SessionRequest, SessionResponse>,
  caller: Extract<Caller, { kind: 'node' }>,
): void {
  const session = sessions.start(caller.node, {
    write: (message) => call.write(encodeRegistryMessage(message)),
    end: (fault) => {
      if (fault) call.emit('error', serviceError(fault));
      else call.end();
      over();
    },
  });
  const pace = new Pace(paceOf[caller.node.role], call, () => context.clock.now());
  function over(): void {
    clearTimeout(silent);
    pace.stop();
    sessions.finish(session);
    responder.forget(session);
  }
  const silent = setTimeout(() => {
    if (!session.greeted) session.goodbye('protocol-error', 'no Hello came');
  }, helloWithin);
  call.on('data', (request: SessionRequest) => {
    if (session.ended) return;
    const message = decodeNodeMessage(request);
    pace.begin();
    if (message.ok) {
      void responder
        .receive(session, message.value)
        .catch((error: unknown) => {
          context.log.error({ node: caller.node.name, error: errorText(error) }, 'message failed');
        })
        .finally(() => {
          pace.end();
        });
      return;
    }
    pace.end();
    if (request.body?.$case === 'nhrp' && session.greeted) {
      responder.unreadable(session, unreadable(request.body.value), message.fault.message.slice(0, 200));
    } else {
      context.log.info({ node: caller.node.name, fault: message.fault.code }, 'message refused');
      session.goodbye('protocol-error', message.fault.message.slice(0, 500));
    }
  });
  call.on('drain', () => {
    if (session.drained()) sessions.sync(session);
  });
  call.on('end', over);
  call.on('close', over);
  call.on('cancelled', over);
  call.on('error', (error: Error & { code?: number }) => {
    if (error.code !== status.CANCELLED)
      context.log.debug({ node: caller.node.name, error: error.message }, 'stream broke');
    over();
  });
}

function unreadable(message: WireMessage): Unreadable {
  return {
    requestId: message.requestId,
    source: message.sourceProtocolAddress,
    destination: message.destinationProtocolAddress,
    isError: message.body?.$case === 'errorIndication',
  };
}
