// A registry of a few lines: real gRPC and real TLS on loopback, with handlers that the test gives.
import { Server, ServerCredentials, type ServerDuplexStream, type ServiceDefinition } from '@grpc/grpc-js';
import { decodeNodeMessage, encodeRegistryMessage } from '#proto/codec/session.ts';
import { EnrolmentServiceService, type RenewRequest, type RenewResponse } from '#proto/gen/dmwg/v1/enrolment.ts';
import { NhrpServiceService, type SessionRequest, type SessionResponse } from '#proto/gen/dmwg/v1/nhrp.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import { must } from '#proto/model/result.ts';
import type { NodeMessage, RegistryMessage } from '#proto/model/session.ts';
import { nodeId } from './pki.ts';

export interface FakeStream {
  /** DER of the client's certificate. */
  readonly certificate: Uint8Array | undefined;
  readonly received: NodeMessage[];
  readonly call: ServerDuplexStream<SessionRequest, SessionResponse>;
  say(message: RegistryMessage): void;
}

export interface FakeRegistryOptions {
  /** What grpc.health.v1 says; by default it serves. */
  readonly isServing?: () => boolean;
  readonly port?: number;
  /** Instead of Welcome. */
  readonly onSession?: (stream: FakeStream) => void;
  readonly onRenew?: (request: RenewRequest) => Promise<RenewResponse>;
}

export interface FakeRegistry {
  readonly endpoint: string;
  readonly port: number;
  /** Every session so far. */
  readonly streams: FakeStream[];
  /** How often it was asked for its health. */
  checks(): number;
  stop(): void;
}

const bytes = (value: Buffer): Buffer => value;
const healthService: ServiceDefinition = {
  check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};

export const welcome: RegistryMessage = { type: 'welcome', node: nodeId, registryVersion: '0', replica: 'r1' };

export async function startFakeRegistry(
  identity: ClientIdentity,
  options: FakeRegistryOptions = {},
): Promise<FakeRegistry> {
  const server = new Server({ 'grpc.keepalive_time_ms': 3000, 'grpc.keepalive_timeout_ms': 2000 });
  const streams: FakeStream[] = [];
  let checks = 0;
  server.addService(NhrpServiceService, {
    session(call: ServerDuplexStream<SessionRequest, SessionResponse>) {
      const stream: FakeStream = {
        certificate: call.getAuthContext().sslPeerCertificate?.raw,
        received: [],
        call,
        say: (message) => call.write(encodeRegistryMessage(message)),
      };
      streams.push(stream);
      call.on('error', () => undefined);
      call.on('data', (request: SessionRequest) => stream.received.push(must(decodeNodeMessage(request))));
      if (options.onSession) options.onSession(stream);
      else stream.say(welcome);
    },
    resolve(_call: unknown, callback: (error: Error) => void) {
      callback(new Error('not here'));
    },
  });
  server.addService(EnrolmentServiceService, {
    renew(call: { request: RenewRequest }, callback: (error: Error | null, response?: RenewResponse) => void) {
      if (!options.onRenew) {
        callback(new Error('not here'));
        return;
      }
      options.onRenew(call.request).then(
        (response) => {
          callback(null, response);
        },
        (error: unknown) => {
          callback(error instanceof Error ? error : new Error('failed'));
        },
      );
    },
    enrol: refuse,
    leave: refuse,
  });
  server.addService(healthService, {
    check(_call: unknown, callback: (error: null, status: Buffer) => void) {
      checks += 1;
      callback(null, Buffer.from([0x08, (options.isServing?.() ?? true) ? 1 : 2]));
    },
  });
  const { ca, certificate, key } = identity;
  const pair = { private_key: Buffer.from(key.reveal()), cert_chain: Buffer.from(certificate + ca) };
  const credentials = ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${String(options.port ?? 0)}`, credentials, (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return {
    endpoint: `127.0.0.1:${String(port)}`,
    port,
    streams,
    checks: () => checks,
    stop: () => {
      server.forceShutdown();
    },
  };
}

function refuse(_call: unknown, callback: (error: Error) => void): void {
  callback(new Error('not here'));
}
