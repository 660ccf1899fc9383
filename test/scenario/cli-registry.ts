// A registry that answers the command with what a test gives it, over the real gRPC and TLS.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  experimental,
  Metadata,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { formatJoinToken } from '#proto/codec/join-token.ts';
import { AdminServiceService, type Node, QueryServiceService } from '#proto/gen/dmwg/v1/admin.ts';
import { EnrolmentServiceService, type EnrolRequest } from '#proto/gen/dmwg/v1/enrolment.ts';
import { NhrpServiceService } from '#proto/gen/dmwg/v1/nhrp.ts';
import { fingerprint, issueCertificate } from '#proto/kit/certificate.ts';
import { Secret } from '#proto/kit/secret.ts';
import { parseNodeId } from '#proto/model/names.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';
import { runCli } from '#registry/cli/program.ts';
import type { Io } from '#registry/cli/io.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Where the command believes itself to be. */
  readonly program?: string;
  readonly interrupted?: AbortSignal;
}

/** Runs one command line in this process. */
export async function dmwg(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  let out = '';
  let err = '';
  const io: Io = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    readInput: () => Promise.resolve(options.input ?? ''),
    environment: options.environment ?? {},
    terminal: false,
    interrupted: () => options.interrupted ?? AbortSignal.timeout(0),
    program: options.program ?? '/nowhere/cli.cjs',
  };
  const code = await runCli(argv, io);
  return { code, out, err };
}

export async function scratchDir(): Promise<{ readonly path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'dmwg-cli-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export const nodeId = '0123456789abcdef';

export const spoke: Node = {
  id: nodeId,
  name: 'spoke1',
  role: 'spoke',
  address: '10.100.0.2',
  address6: '',
  prefixes: ['192.168.7.0/24'],
  endpoints: [
    { address: '192.168.7.1:51820', kind: 'claimed' },
    { address: '198.51.100.9:40000', kind: 'observed' },
  ],
  registered: true,
  registeredAtMs: 1_700_000_000_000n,
  expiresInSeconds: 7200,
  nat: true,
  tags: ['branch'],
  agentVersion: '0.1.0',
  connected: true,
  priority: 0,
  cluster: 0,
  draining: false,
  policy: [],
};

type Handlers = Readonly<Record<string, (request: never) => unknown>>;

export interface FakeRegistry {
  readonly stateDir: string;
  /** 127.0.0.1:port */
  readonly address: string;
  /** Method names in the order of their calls, with the identity of the caller. */
  readonly calls: { readonly method: string; readonly peer: string | undefined }[];
  /** A token for it; `pin` and `addresses` may be wrong on purpose. */
  token(wrong?: { readonly pin?: string; readonly addresses?: readonly string[] }): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A handler that throws gives its error: `refuse(code, text)`. `fault` is the registry's constant for the reason. */
export function refuse(code: status, details: string, fault = 'test'): Error {
  const metadata = new Metadata();
  metadata.set('dmwg-fault', fault);
  return Object.assign(new Error(details), { code, details, metadata });
}

/** Runs `dmwg init` in `parent` and serves with what it made. `handlers` are by method name. */
export async function startRegistry(
  parent: string,
  handlers: Handlers = {},
  listen = '127.0.0.1:0',
): Promise<FakeRegistry> {
  const stateDir = join(parent, 'registry');
  const made = await dmwg(initArguments(stateDir));
  if (made.code !== 0) throw new Error(made.err);
  const calls: { method: string; peer: string | undefined }[] = [];
  const answers = { enrol: (request: EnrolRequest) => enrol(stateDir, request), leave: () => ({}), ...handlers };
  const server = new Server();
  for (const service of [QueryServiceService, AdminServiceService, EnrolmentServiceService, NhrpServiceService]) {
    const implementation: UntypedServiceImplementation = {};
    for (const method of Object.keys(service)) {
      implementation[method] = (call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => {
        const peer = call.getAuthContext().sslPeerCertificate?.subjectaltname;
        calls.push({ method, peer });
        answer(answers, method, call.request, done);
      };
    }
    server.addService(service, implementation);
  }
  const port = await bind(server, listen, tlsCredentials(stateDir));
  await bind(server, `unix:${join(stateDir, 'registry.sock')}`, ServerCredentials.createInsecure());
  const address = `127.0.0.1:${String(port)}`;
  await pointProfileAt(stateDir, address);
  const ca = await readFile(join(stateDir, 'ca.crt'), 'utf8');
  return {
    stateDir,
    address,
    calls,
    token: ({ pin = fingerprint(ca), addresses = [address] } = {}) =>
      formatJoinToken({
        registry: addresses,
        caPin: pin,
        id: 'token1',
        secret: new Secret(new Uint8Array(32).fill(7)),
      }).reveal(),
    [Symbol.asyncDispose]: () => {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}

export function initArguments(stateDir: string): string[] {
  const where = ['init', '--state-dir', stateDir, '--registry-address', '127.0.0.1:7443'];
  return [...where, '--overlay-name', 'lab', '--pool', '10.100.0.0/16'];
}

function answer(handlers: object, method: string, request: unknown, done: sendUnaryData<unknown>): void {
  const handler: unknown = Reflect.get(handlers, method);
  if (typeof handler !== 'function') {
    done(refuse(status.UNIMPLEMENTED, `${method} is not in this test`));
    return;
  }
  Promise.resolve()
    .then(() => Reflect.apply(handler, undefined, [request]) as unknown)
    .then(
      (value) => {
        done(null, value);
      },
      (error: unknown) => {
        done(error instanceof Error ? error : new Error(String(error)));
      },
    );
}

function tlsCredentials(stateDir: string): ServerCredentials {
  const provider = new experimental.FileWatcherCertificateProvider({
    certificateFile: join(stateDir, 'registry.crt'),
    privateKeyFile: join(stateDir, 'registry.key'),
    caCertificateFile: join(stateDir, 'ca.crt'),
    refreshIntervalMs: 60_000,
  });
  return experimental.createCertificateProviderServerCredentials(provider, provider, false);
}

function bind(server: Server, target: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
}

async function pointProfileAt(stateDir: string, address: string): Promise<void> {
  const path = join(stateDir, 'admin.yaml');
  await writeFile(path, (await readFile(path, 'utf8')).replace('127.0.0.1:7443', address));
}

async function enrol(stateDir: string, request: EnrolRequest): Promise<unknown> {
  const [ca, key] = await Promise.all(['ca.crt', 'ca.key'].map((name) => readFile(join(stateDir, name), 'utf8')));
  const issued = must(
    await issueCertificate({
      ca: ca ?? '',
      caKey: new Secret(key ?? ''),
      csr: request.csr,
      identity: { kind: 'node', overlay: 'lab', id: must(parseNodeId(nodeId)) },
      name: request.name,
      validity: seconds(3600),
      usage: 'client',
      now: Date.now() as Timestamp,
    }),
  );
  return {
    nodeId,
    overlay: 'lab',
    role: request.role === '' ? 'spoke' : request.role,
    name: request.name,
    address: request.address === '' ? '10.100.0.2' : request.address,
    address6: '',
    prefixes: request.prefixes,
    certificate: Buffer.from(issued.certificate),
    certificateExpires: BigInt(Math.round(issued.expires / 1000)),
  };
}
