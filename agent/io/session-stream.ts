// One connection to one registry: from the first packet to its end.
import type { ChannelCredentials, ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { decodeRegistryMessage, encodeNodeMessage } from '#proto/codec/session.ts';
import { NhrpServiceClient, type SessionRequest, type SessionResponse } from '#proto/gen/dmwg/v1/nhrp.ts';
import { registryChannelOptions } from '#proto/kit/registry-credentials.ts';
import type { Fault } from '#proto/model/result.ts';
import type { GoodbyeReason, NodeMessage, RegistryMessage } from '#proto/model/session.ts';
import { callFault } from './session-fault.ts';
import type { RegistryPush } from './session-port.ts';

export type StreamEnd =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'goodbye'; readonly reason: GoodbyeReason; readonly detail: string }
  | { readonly kind: 'fault'; readonly fault: Fault };

export interface StreamOptions {
  /** host:port */
  readonly endpoint: string;
  readonly credentials: ChannelCredentials;
  readonly agentVersion: string;
}

export interface StreamEvents {
  /** After Welcome; `send` works until the stream has ended. */
  onWelcome(send: (message: NodeMessage) => boolean): void;
  onPush(message: RegistryPush): void;
  onUndecodable(kind: string, fault: Fault): void;
}

/** A peer behind a black hole is noticed within their sum; a registry that is busy for some seconds is none. */
const keepalive = { 'grpc.keepalive_time_ms': 3000, 'grpc.keepalive_timeout_ms': 5000 } as const;
/** From the first packet to Welcome. */
const welcomeTimeout = 10_000;
/** Messages that wait for a registry that does not read. */
const longestQueue = 1024;

/** Resolves when the connection has ended for whatever reason, with nothing of it left. */
export function holdStream(options: StreamOptions, events: StreamEvents, signal: AbortSignal): Promise<StreamEnd> {
  if (signal.aborted) return Promise.resolve({ kind: 'stopped' });
  const client = new NhrpServiceClient(options.endpoint, options.credentials, {
    ...registryChannelOptions(options.endpoint),
    ...keepalive,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.enable_retries': 0,
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
  });
  return new Promise((resolve) => {
    const stream = client.session();
    const queue = createQueue(stream, () => {
      end({ kind: 'fault', fault: { code: 'stalled', message: 'the registry does not read what this node sends' } });
    });
    let welcomed = false;
    let ended = false;

    const timer = setTimeout(() => {
      end({ kind: 'fault', fault: { code: 'unreachable', message: 'the registry did not answer in time' } });
    }, welcomeTimeout);

    function end(how: StreamEnd): void {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      stream.cancel();
      client.close();
      resolve(how);
    }

    function stop(): void {
      end({ kind: 'stopped' });
    }

    function receive(message: RegistryMessage): void {
      if (message.type === 'goodbye') end({ kind: 'goodbye', reason: message.reason, detail: message.detail });
      else if (message.type === 'ping') queue.offer({ type: 'pong', id: message.id });
      else if (message.type === 'welcome') {
        if (welcomed) return;
        welcomed = true;
        clearTimeout(timer);
        events.onWelcome((outgoing) => !ended && queue.offer(outgoing));
      } else if (welcomed) events.onPush(message);
    }

    signal.addEventListener('abort', stop, { once: true });
    stream.on('data', (response: SessionResponse) => {
      if (ended) return;
      const decoded = decodeRegistryMessage(response);
      if (decoded.ok) receive(decoded.value);
      else events.onUndecodable(response.body?.$case ?? 'unknown', decoded.fault);
    });
    // Stays on after the end: cancelling makes an error of its own.
    stream.on('error', (error: ServiceError) => {
      end({ kind: 'fault', fault: callFault(error) });
    });
    // Comes last, after the error if there is one.
    stream.on('status', () => {
      end({ kind: 'fault', fault: { code: 'closed', message: 'the registry closed the session' } });
    });
    queue.offer({ type: 'hello', agentVersion: options.agentVersion });
  });
}

interface Queue {
  offer(message: NodeMessage): boolean;
}

/** grpc-js takes without bound: what it has not passed on waits here, and only so much of it. */
function createQueue(stream: ClientDuplexStream<SessionRequest, SessionResponse>, onFull: () => void): Queue {
  const waiting: SessionRequest[] = [];
  let blocked = false;
  stream.on('drain', () => {
    blocked = false;
    while (!blocked) {
      const next = waiting.shift();
      if (!next) return;
      blocked = !stream.write(next);
    }
  });
  return {
    offer(message) {
      const encoded = encodeNodeMessage(message);
      if (!blocked) {
        blocked = !stream.write(encoded);
        return true;
      }
      if (waiting.length >= longestQueue) {
        onFull();
        return false;
      }
      waiting.push(encoded);
      return true;
    },
  };
}
