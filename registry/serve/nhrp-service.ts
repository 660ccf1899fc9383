import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import { decodeNodeMessage, encodeRegistryMessage } from '#proto/codec/session.ts';
import type {
  NhrpMessage as WireMessage,
  NhrpServiceServer,
  SessionRequest,
  SessionResponse,
} from '#proto/gen/dmwg/v1/nhrp.ts';
import { type Authenticate, type Caller } from './caller.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Instant } from '#proto/model/time.ts';
import type { Complaints } from './complaints.ts';
import type { Connections } from './connections.ts';
import type { RegistryContext } from './context.ts';
import type { Draining } from './draining.ts';
import { serviceError } from './errors.ts';
import { Inquiries } from './inquiries.ts';
import { Liveness, type Watched } from './liveness.ts';
import { Portions } from './portions.ts';
import type { Responder } from './responder.ts';
import type { Sessions } from './sessions.ts';
import { Pace, paceOf } from './pace.ts';
import { refusal, unary } from './unary.ts';
import type { Unreadable } from './unreadable.ts';

export interface NhrpParts {
  readonly context: RegistryContext;
  readonly sessions: Sessions;
  readonly responder: Responder;
  readonly complaints: Complaints;
  readonly draining: Pick<Draining, 'on' | 'set'>;
}

/** A node that connects and says nothing is cut off. */
const helloWithin = 10_000;

const outOfService = { code: 'unavailable', message: 'this replica is taken out of service: use another one' } as const;

/** What serves all sessions. */
interface Shared {
  readonly connections: Pick<Connections, 'heard' | 'drop'>;
  readonly liveness: Liveness;
  readonly portions: Portions;
}

export function nhrpService(
  parts: NhrpParts,
  authenticate: Authenticate,
  connections: Shared['connections'],
): NhrpServiceServer {
  const now = (): Instant => parts.context.clock.now();
  const shared = { connections, liveness: new Liveness(now), portions: new Portions(now) };
  const inquiries = new Inquiries(parts.context, parts.complaints);
  return {
    session: (call) => {
      const caller = authenticate(call);
      const denied = !caller.ok ? caller : caller.value.kind === 'node' ? undefined : refusal(caller.value, ['node']);
      if (denied && !denied.ok) call.emit('error', serviceError(denied.fault));
      else if (parts.draining.on) call.emit('error', serviceError(outOfService));
      else if (caller.ok && caller.value.kind === 'node') serve({ ...parts, ...shared }, call, caller.value);
    },
    resolve: unary(parts.context, authenticate, ['node', 'admin'], (request, caller) =>
      inquiries.answer(request, caller),
    ),
  };
}

function serve(
  { context, sessions, responder, connections, liveness, portions }: NhrpParts & Shared,
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
  const peer = call.getPeer();
  const watched: Watched = {
    heard: () => connections.heard(peer),
    ask: () => {
      sessions.ping(session);
    },
    giveUp: () => {
      context.log.info({ node: caller.node.name }, 'the node is silent');
      session.end();
      connections.drop(peer);
    },
  };
  liveness.watch(watched);
  function over(): void {
    liveness.unwatch(watched);
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
      portions.run(() => {
        void responder
          .receive(session, message.value)
          .catch((error: unknown) => {
            context.log.error({ node: caller.node.name, error: errorText(error) }, 'message failed');
          })
          .finally(() => {
            pace.end();
          });
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
    isError: message.body?.$case === 'errorIndication',
  };
}
