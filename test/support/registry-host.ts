// A registry that serves on loopback, over any store, and nodes that speak to it through real gRPC and TLS.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { ChannelCredentials, type ClientDuplexStream, Metadata, type ServiceError } from '@grpc/grpc-js';
import { decodeRegistryMessage, encodeNodeMessage } from '#proto/codec/session.ts';
import { AdminServiceClient, type CreateTokenRequest, QueryServiceClient } from '#proto/gen/dmwg/v1/admin.ts';
import { type EnrolRequest, type EnrolResponse, EnrolmentServiceClient } from '#proto/gen/dmwg/v1/enrolment.ts';
import { NhrpServiceClient, type SessionRequest, type SessionResponse } from '#proto/gen/dmwg/v1/nhrp.ts';
import { parseJoinToken } from '#proto/codec/join-token.ts';
import { type CertificateAuthority, createCsr, pemOf } from '#proto/kit/certificate.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import { type ClientIdentity, registryChannelOptions, registryCredentials } from '#proto/kit/registry-credentials.ts';
import type { NhrpBody, NhrpMessage } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import type { NodeMessage, RegistryEndpoint, RegistryMessage } from '#proto/model/session.ts';
import { seconds } from '#proto/model/time.ts';
import type { ReplicaRecord } from '#registry/decide/records.ts';
import type { RegistryContext } from '#registry/serve/context.ts';
import { Events } from '#registry/serve/events.ts';
import { HoldingClock } from '#registry/serve/holding-clock.ts';
import { Metrics } from '#registry/serve/metrics.ts';
import { serve, type Serving } from '#registry/serve/start.ts';
import { RegistryCertificate } from '#registry/serve/tls.ts';
import { Traffic } from '#registry/serve/traffic.ts';
import type { Store } from '#registry/store/port.ts';
import { authority, issue } from './pki.ts';
import { until } from './poll.ts';

export const overlayName = 'blue';
export const within = 20_000;

export interface RegistryHost {
  readonly address: string;
  /** Where an administrator reaches it, as gRPC takes it. */
  readonly socket: string;
  readonly ca: CertificateAuthority;
  readonly context: RegistryContext;
  readonly serving: Serving;
  readonly admin: AdminServiceClient;
  readonly query: QueryServiceClient;
  token(parts?: Partial<CreateTokenRequest>): Promise<string>;
  /** Enrols with a new key. Rejects with the ServiceError. */
  enrol(token: string, parts?: Partial<EnrolRequest>): Promise<EnrolledNode>;
  connect(identity: ClientIdentity): NodeSession;
}

export interface EnrolledNode {
  readonly response: EnrolResponse;
  readonly identity: ClientIdentity;
}

export interface HostOptions {
  readonly store: (self: ReplicaRecord) => Promise<Store> | Store;
  readonly ca?: CertificateAuthority;
  readonly replica?: string;
  /** Where nodes are told to reach it. */
  readonly public?: RegistryEndpoint;
}

export async function registryFor(t: TestContext, options: HostOptions): Promise<RegistryHost> {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-registry-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const ca = options.ca ?? (await authority(overlayName));
  const own = await issue(ca, { kind: 'registry', overlay: overlayName, name: 'registry' });
  const log = createLogger('test', process.env['DMWG_TEST_LOG'] ?? 'silent');
  const self = { id: options.replica ?? 'replica-1', address: '', public: options.public };
  const store = await options.store(self);
  const traffic = new Traffic(systemClock, log);
  const context: RegistryContext = {
    overlay: overlayName,
    self,
    store,
    ca,
    addresses: ['127.0.0.1:7443'],
    nodeValidity: seconds(3600),
    clock: new HoldingClock(systemClock, store),
    log,
    events: new Events(systemClock, log),
    traffic,
    metrics: new Metrics(() => traffic.total, {}),
  };
  const certificate = new RegistryCertificate({
    ca,
    initial: { certificate: own.certificate + ca.certificate, key: own.key },
    clock: systemClock,
    save: () => Promise.resolve(),
  });
  const socket = join(dir, 'registry.sock');
  const serving = await serve(context, {
    certificate,
    listen: { host: '127.0.0.1', port: 0 },
    socket,
    http: undefined,
    descriptors: undefined,
  });
  t.after(() => serving.stop());
  const address = `127.0.0.1:${String(serving.port)}`;
  self.address = address;
  const admin = new AdminServiceClient(`unix:${socket}`, ChannelCredentials.createInsecure());
  const query = new QueryServiceClient(`unix:${socket}`, ChannelCredentials.createInsecure());
  t.after(() => {
    admin.close();
    query.close();
  });
  return {
    address,
    socket: `unix:${socket}`,
    ca,
    context,
    serving,
    admin,
    query,
    token: async (parts = {}) => {
      const request = { role: '', prefixes: [], tags: [], uses: 0, expiresInSeconds: 0, shared: false, ...parts };
      return (await call(admin.createToken.bind(admin), request)).token;
    },
    enrol: (token, parts = {}) => enrol(address, ca, token, parts),
    connect: (identity) => {
      const session = openSession(address, identity);
      t.after(() => {
        session.close();
      });
      return session;
    },
  };
}

type Unary<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: { deadline: number },
  callback: (error: ServiceError | null, answer: A) => void,
) => unknown;

export function call<Q, A>(method: Unary<Q, A>, request: Q): Promise<A> {
  return new Promise((resolve, reject) => {
    method(request, new Metadata(), { deadline: Date.now() + within }, (error, answer) => {
      if (error) reject(error);
      else resolve(answer);
    });
  });
}

export async function enrol(
  address: string,
  ca: Pick<CertificateAuthority, 'certificate'>,
  text: string,
  parts: Partial<EnrolRequest>,
): Promise<EnrolledNode> {
  const token = must(parseJoinToken(text));
  const { csr, key } = await createCsr('node');
  const anyone = ChannelCredentials.createSsl(Buffer.from(ca.certificate), null, null, {
    checkServerIdentity: () => undefined,
  });
  const client = new EnrolmentServiceClient(address, anyone, registryChannelOptions(address));
  try {
    const response = await call(client.enrol.bind(client), {
      tokenId: token.id,
      tokenSecret: Buffer.from(token.secret.reveal()),
      csr: Buffer.from(csr),
      name: 'node',
      role: '',
      prefixes: [],
      endpoints: [],
      address: '',
      cluster: 0,
      ...parts,
    });
    return { response, identity: { ca: ca.certificate, certificate: pemOf(response.certificate), key } };
  } finally {
    client.close();
  }
}

type MessageOf<T extends RegistryMessage['type']> = Extract<RegistryMessage, { type: T }>;
type BodyOf<T extends NhrpBody['type']> = Extract<NhrpBody, { type: T }>;

/** A node's side of a session, that keeps everything it was told. */
export interface NodeSession {
  readonly received: readonly RegistryMessage[];
  send(message: NodeMessage): void;
  say(message: NhrpMessage): void;
  /** As it goes on the wire, right or wrong. */
  write(request: SessionRequest): void;
  /** The latest message of the type, that the session got since `take` gave one of it before. */
  take<T extends RegistryMessage['type']>(type: T, fits?: (message: MessageOf<T>) => boolean): Promise<MessageOf<T>>;
  takeNhrp<T extends NhrpBody['type']>(type: T, requestId?: number): Promise<NhrpMessage<BodyOf<T>>>;
  readonly error: () => ServiceError | undefined;
  ended(): Promise<void>;
  close(): void;
}

export function openSession(address: string, identity: ClientIdentity): NodeSession {
  const client = new NhrpServiceClient(address, registryCredentials(identity), registryChannelOptions(address));
  const stream: ClientDuplexStream<SessionRequest, SessionResponse> = client.session();
  const received: RegistryMessage[] = [];
  const taken = new Set<RegistryMessage>();
  let over = false;
  let failure: ServiceError | undefined;
  const send = (message: NodeMessage): void => {
    stream.write(encodeNodeMessage(message));
  };
  stream.on('data', (response: SessionResponse) => {
    const message = must(decodeRegistryMessage(response));
    if (message.type === 'ping') send({ type: 'pong', id: message.id });
    else received.push(message);
  });
  stream.on('error', (error: ServiceError) => {
    failure = error;
    over = true;
  });
  stream.on('end', () => {
    over = true;
    stream.end();
  });
  const take: NodeSession['take'] = (type, fits) =>
    until(
      `the session gets ${type}`,
      () => {
        const found = received.find(
          (message): message is MessageOf<typeof type> =>
            message.type === type && !taken.has(message) && (fits?.(message as MessageOf<typeof type>) ?? true),
        );
        if (found) taken.add(found);
        return found;
      },
      {
        within,
        every: 5,
        explain: () =>
          JSON.stringify(received.slice(-5), (_, value: unknown) =>
            typeof value === 'bigint' ? String(value) : value,
          ),
      },
    );
  return {
    received,
    send,
    say: (message) => {
      send({ type: 'nhrp', message });
    },
    write: (request) => {
      stream.write(request);
    },
    take,
    takeNhrp: async (type, requestId) => {
      const found = await take(
        'nhrp',
        ({ message }) => message.body.type === type && (requestId === undefined || message.requestId === requestId),
      );
      return found.message as NhrpMessage<BodyOf<typeof type>>;
    },
    error: () => failure,
    ended: async () => {
      await until('the session ends', () => over, { within, every: 5 });
    },
    close: () => {
      stream.cancel();
      client.close();
    },
  };
}
