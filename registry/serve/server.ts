import { chmod, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { type Server as GrpcServer, Server, ServerCredentials } from '@grpc/grpc-js';
import { formatHostPort, type HostPort } from '#proto/codec/host-port.ts';
import { AdminServiceService, QueryServiceService } from '#proto/gen/dmwg/v1/admin.ts';
import { EnrolmentServiceService } from '#proto/gen/dmwg/v1/enrolment.ts';
import { NhrpServiceService } from '#proto/gen/dmwg/v1/nhrp.ts';
import { ReplicaServiceService } from '#proto/gen/dmwg/v1/replica.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import { adminService } from './admin.ts';
import { Connections } from './connections.ts';
import { type Authenticate, byCertificate, onceReady, trustSocket } from './caller.ts';
import { enrolmentService } from './enrolment.ts';
import type { Health } from './health.ts';
import { type NhrpParts, nhrpService } from './nhrp-service.ts';
import { queryService } from './query.ts';
import { addReflection } from './reflection.ts';
import { replicaService } from './replica-service.ts';

/** Nobody needs long headers or messages: 500 endpoints that a hub saw have 50 kB. */
const options = {
  'grpc.max_receive_message_length': 256 * 1024,
  'grpc.max_metadata_size': 16 * 1024,
  'grpc.max_concurrent_streams': 128,
  // Statistics of every connection and call that nothing reads.
  'grpc.enable_channelz': 0,
};

/** What the kernel takes as the path of a unix socket. */
const longestSocketPath = 107;

export interface ServerParts extends NhrpParts {
  readonly health: Health;
  /** A FileDescriptorSet; undefined: no reflection. */
  readonly descriptors: Uint8Array | undefined;
}

export interface Listening {
  readonly server: GrpcServer;
  readonly connections: Connections;
  readonly port: number;
}

/** Throws ProgramError when it cannot listen. */
export async function listenTls(
  parts: ServerParts,
  credentials: ServerCredentials,
  address: HostPort,
): Promise<Listening> {
  const { overlay, store, events } = parts.context;
  const authenticate = byCertificate(
    overlay,
    () => store.snapshot(),
    (node, message) => {
      events.alarm('node.unknown', node, message);
    },
  );
  const server = createServer(parts, authenticate);
  const ready = onceReady(authenticate, () => store.snapshot());
  const connections = new Connections((socket) => {
    injector.injectConnection(socket);
  });
  server.addService(NhrpServiceService, nhrpService(parts, ready, connections));
  server.addService(ReplicaServiceService, replicaService(parts, ready));
  const injector = server.createConnectionInjector(credentials);
  try {
    return { server, connections, port: await connections.listen(address) };
  } catch (error) {
    throw cannotListen(formatHostPort(address), errorText(error));
  }
}

/** Whoever may open the socket is an administrator: it is for its owner only. */
export async function listenSocket(parts: ServerParts, path: string): Promise<GrpcServer> {
  if (Buffer.byteLength(path) > longestSocketPath) {
    throw new ProgramError(`the path ${path} is too long for a unix socket: use a state dir with a shorter path`);
  }
  if (await answers(path)) throw new ProgramError(`another dmwg-registry runs on this state dir: it serves ${path}`);
  await rm(path, { force: true });
  const server = createServer(parts, trustSocket);
  // From the first moment on, as it is made before its mode can be changed.
  const umask = process.umask(0o177);
  try {
    await bind(server, `unix:${path}`, ServerCredentials.createInsecure(), path);
  } finally {
    process.umask(umask);
  }
  await chmod(path, 0o600);
  return server;
}

function createServer(parts: ServerParts, authenticate: Authenticate): GrpcServer {
  const { context, health, descriptors } = parts;
  const server = new Server(options);
  const ready = onceReady(authenticate, () => context.store.snapshot());
  server.addService(EnrolmentServiceService, enrolmentService(context, ready));
  server.addService(QueryServiceService, queryService(context, parts.sessions, authenticate));
  server.addService(AdminServiceService, adminService(context, ready, parts.draining));
  health.addTo(server);
  if (descriptors) addReflection(server, descriptors);
  return server;
}

async function bind(
  server: GrpcServer,
  address: string,
  credentials: ServerCredentials,
  shown: string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (!error) {
        resolve(port);
        return;
      }
      reject(cannotListen(shown, errorText(error)));
    });
  });
}

function cannotListen(where: string, text: string): ProgramError {
  const reason = text.includes('EADDRINUSE')
    ? 'the port is in use; stop what uses it, or choose another one with --listen'
    : text.includes('EADDRNOTAVAIL')
      ? 'this machine does not have that address; choose another one with --listen'
      : text.includes('EACCES')
        ? 'that is not allowed; choose a port above 1023'
        : text;
  return new ProgramError(`cannot listen on ${where}: ${reason}`);
}

/** Whether somebody listens on the socket; a file without listener is left from a crash. */
async function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => {
      resolve(false);
    });
  });
}
