// One connection to a registry: calls with a deadline, the next replica if one cannot be reached, and errors as a line that
// says what to do.
import type { PeerCertificate } from 'node:tls';
import {
  type CallOptions,
  Channel,
  type ChannelCredentials,
  type ChannelOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { AdminServiceClient, QueryServiceClient } from '#proto/gen/dmwg/v1/admin.ts';
import { EnrolmentServiceClient } from '#proto/gen/dmwg/v1/enrolment.ts';
import { NhrpServiceClient } from '#proto/gen/dmwg/v1/nhrp.ts';
import { parseIdentity } from '#proto/kit/certificate.ts';
import { pause } from '#proto/kit/clock.ts';
import { registryChannelOptions } from '#proto/kit/registry-credentials.ts';
import { type Listener, readStream } from './rpc-stream.ts';
import { deadlineMs, isServiceError, type Reached, rpcError } from './rpc-error.ts';

/** How to reach a registry and as whom. */
export type Access =
  | { readonly kind: 'socket'; readonly path: string }
  | {
      readonly kind: 'tls';
      /** host:port, tried in turn. */
      readonly addresses: readonly string[];
      readonly overlay: string;
      /** PEM. */
      readonly ca: string;
      /** PEM; absent before enrolment. */
      readonly identity: { readonly certificate: string; readonly key: string } | undefined;
    };

export interface Services {
  readonly query: QueryServiceClient;
  readonly admin: AdminServiceClient;
  readonly enrolment: EnrolmentServiceClient;
  readonly nhrp: NhrpServiceClient;
}

type Method<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, answer: A) => void,
) => ClientUnaryCall;

export interface AskOptions {
  /** Milliseconds for one attempt. */
  readonly within?: number;
  /** Doing it twice is doing it once: when nobody knows what became of it, it is asked again. */
  readonly repeatable?: boolean;
}

/** Answers hold whole tables: ten thousand nodes are some MiB. */
const limits = { 'grpc.max_receive_message_length': 64 * 1024 * 1024 };
/** Milliseconds; a registry that was being restarted is there again. */
const beforeRepetition = 1000;

type Following<Q, A> = (request: Q) => ClientReadableStream<A>;

export interface Registry {
  /** Throws ProgramError (exit code 1). */
  ask<Q, A>(method: (services: Services) => Method<Q, A>, request: Q, options?: AskOptions): Promise<A>;
  /** Until `listener.signal` aborts. Throws ProgramError (exit code 1). */
  follow<Q, A>(method: (services: Services) => Following<Q, A>, request: Q, listener: Listener<A>): Promise<void>;
  close(): void;
}

export function connectRegistry(access: Access): Registry {
  const targets = targetsOf(access).map(openTarget);
  const timeoutMs = targets.length === 1 ? deadlineMs : deadlineMs / 2;
  let current = 0;
  /** At the replica that answered last, else at the next one that can be reached. */
  async function somewhere<T>(use: (services: Services) => Promise<T>, repeatable = false): Promise<T> {
    for (let tried = 1; ; tried++) {
      const target = targets[current];
      if (!target) throw new Error('a registry needs an address');
      try {
        return await use(target.services);
      } catch (error) {
        if (!isServiceError(error)) throw error;
        const unsent = neverSent(target, error);
        const again = unsent ? tried < targets.length : repeatable && isUnsettled(error) && tried <= targets.length;
        if (!again) throw rpcError(error, target.reached);
        current = (current + 1) % targets.length;
        if (!unsent) await pause(beforeRepetition);
      }
    }
  }
  return {
    ask: (method, request, { within = timeoutMs, repeatable = false } = {}) =>
      somewhere((services) => once(method(services), request, within), repeatable),
    follow: (method, request, listener) =>
      somewhere((services) => readStream(() => method(services)(request), listener)),
    close() {
      for (const { channel } of targets) channel.close();
    },
  };
}

/** Runs `use` with a connection that is closed afterwards. */
export async function withRegistry<T>(access: Access, use: (registry: Registry) => Promise<T>): Promise<T> {
  const registry = connectRegistry(access);
  try {
    return await use(registry);
  } finally {
    registry.close();
  }
}

interface Address {
  readonly uri: string;
  readonly reached: Reached;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

interface Target {
  readonly reached: Reached;
  readonly channel: Channel;
  readonly services: Services;
}

function targetsOf(access: Access): Address[] {
  if (access.kind === 'socket') {
    const reached: Reached = { address: access.path, identity: 'admin' };
    return [{ uri: `unix:${access.path}`, reached, credentials: credentials.createInsecure(), options: limits }];
  }
  const identity = access.identity;
  return access.addresses.map((address) => ({
    uri: `dns:${address}`,
    reached: { address, identity: identity ? 'certificate' : 'none' },
    credentials: credentials.createSsl(
      Buffer.from(access.ca),
      identity ? Buffer.from(identity.key) : null,
      identity ? Buffer.from(identity.certificate) : null,
      { checkServerIdentity: (_host, certificate) => checkRegistry(access.overlay, certificate) },
    ),
    options: { ...registryChannelOptions(address), ...limits },
  }));
}

/**
 * A node of the same overlay has a certificate of the same CA, and must not pass for the registry. The host is not compared:
 * a registry is the same under every name and address.
 */
function checkRegistry(overlay: string, certificate: PeerCertificate): Error | undefined {
  const identity = parseIdentity(certificate.raw);
  if (identity.ok && identity.value.kind === 'registry' && identity.value.overlay === overlay) return undefined;
  return new Error(`the certificate is not that of a registry of overlay ${overlay}`);
}

function openTarget(address: Address): Target {
  const channel = new Channel(address.uri, address.credentials, address.options);
  const options = { channelOverride: channel };
  return {
    reached: address.reached,
    channel,
    services: {
      query: new QueryServiceClient(address.uri, address.credentials, options),
      admin: new AdminServiceClient(address.uri, address.credentials, options),
      enrolment: new EnrolmentServiceClient(address.uri, address.credentials, options),
      nhrp: new NhrpServiceClient(address.uri, address.credentials, options),
    },
  };
}

function once<Q, A>(method: Method<Q, A>, request: Q, timeoutMs: number): Promise<A> {
  return new Promise<A>((resolve, reject) => {
    method(request, new Metadata(), { deadline: Date.now() + timeoutMs }, (error, answer) => {
      if (error) reject(error);
      else resolve(answer);
    });
  });
}

/** What became of the call is not known, or it came to nothing for now. */
function isUnsettled(error: ServiceError): boolean {
  return [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.INTERNAL, status.ABORTED].includes(error.code);
}

/** The call did not leave this machine, so another replica may have it without it being done twice. */
function neverSent(target: Target, error: ServiceError): boolean {
  if (error.code === status.UNAVAILABLE) return /No connection established|Name resolution failed/.test(error.details);
  const ready = target.channel.getConnectivityState(false) === connectivityState.READY;
  return error.code === status.DEADLINE_EXCEEDED && !ready;
}
