import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants, rmSync } from 'node:fs';
import { access, chmod, type FileHandle, mkdir, open } from 'node:fs/promises';
import { get } from 'node:http';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { backoff } from '#proto/kit/backoff.ts';
import { pause } from '#proto/kit/clock.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { EtcdCredentials } from './etcd-port.ts';
import { createEtcdLog } from './etcd-log.ts';

export interface EmbeddedEtcdOptions {
  /** The registry's state directory; etcd gets its folder "etcd". */
  readonly dir: string;
  readonly logger: Logger;
  /** Stops etcd, as stop() does. */
  readonly signal: AbortSignal;
}

export interface EmbeddedEtcd {
  /** For openStore. */
  readonly endpoints: readonly string[];
  /** None: the sockets' directory is what protects them. */
  readonly credentials?: EtcdCredentials;
  /** Resolves when the child has ended, after 3 s at most. */
  stop(): Promise<void>;
}

/**
 * etcd names a unix socket "HOST:PORT" and creates it in its working directory. Sockets and not loopback ports, which every
 * local user reaches: the directory is 0700, nothing can take the name, no certificate has to be made and renewed, and it
 * works in a network namespace whose loopback is down. etcd 3.4 takes them for clients and peers, etcd3 as "unix:PATH".
 */
const clientSocket = 'client:0';
const peerSocket = 'peer:0';
/** What the kernel takes as the path of a unix socket. */
const longestSocketPath = 107;

/** Milliseconds. */
const readyWithin = 30_000;
const stopWithin = 2500;
/** Milliseconds that a predecessor, killed together with its registry, may need to disappear. */
const predecessorWithin = 3000;
/** Milliseconds after which a run counts as good, and the next restart is quick again. */
const goodRun = 10_000;

/**
 * Starts `etcd` on DIR/etcd, resolves when it serves, and starts it again whenever it ends. Throws ProgramError when the
 * program is missing, the directory cannot be used or etcd does not come up.
 */
export async function startEmbeddedEtcd({ dir, logger: parent, signal }: EmbeddedEtcdOptions): Promise<EmbeddedEtcd> {
  const logger = parent.child({ component: 'etcd' });
  await requireProgram('setpriv', 'util-linux');
  await requireProgram('etcd', 'etcd-server');
  const home = join(dir, 'etcd');
  await prepare(home);
  const { socket, handle } = await socketPath(home);
  await requireNobody(socket, home);

  const etcd = new Supervisor(home, logger);
  const stopped = new AbortController();
  let running: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    signal.removeEventListener('abort', abort);
    stopped.abort();
    await etcd.end();
    await running;
    await handle?.close().catch(() => undefined);
  };
  const abort = (): void => {
    void stop();
  };
  try {
    etcd.start();
    await ready(socket, etcd, signal);
  } catch (error) {
    await stop();
    throw error;
  }
  running = etcd.run(stopped.signal);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  return { endpoints: [`unix:${socket}`], stop };
}

class Supervisor {
  readonly #home: string;
  readonly #logger: Logger;
  readonly #log: ReturnType<typeof createEtcdLog>;
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('it was not started');
  #alive = false;

  constructor(home: string, logger: Logger) {
    this.#home = home;
    this.#logger = logger;
    this.#log = createEtcdLog(logger);
  }

  /** Why etcd ended, if it did. */
  failure(): string | undefined {
    return this.#alive ? undefined : (this.#log.lastComplaint() ?? 'it ended at once');
  }

  start(): void {
    // etcd does not remove what its killed predecessor left.
    for (const socket of [clientSocket, peerSocket]) rmSync(join(this.#home, socket), { force: true });
    const verbose = this.#logger.isLevelEnabled('debug') ? 'info' : 'warn';
    // In a session of its own: the Ctrl-C that stops the registry must not stop etcd before it.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'etcd', ...etcdArguments(verbose)], {
      cwd: this.#home,
      env: environment(),
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    this.#child = child;
    this.#alive = true;
    createInterface({ input: child.stderr }).on('line', this.#log.line);
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#alive = false;
        resolve(how);
      };
      child.once('error', (error) => {
        end(errorText(error));
      });
      child.once('close', (code, killedBy) => {
        end(killedBy ?? `exit code ${String(code)}`);
      });
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    let waits = backoff(100, 5000, Math.random);
    let since = performance.now();
    for (;;) {
      const how = await this.#ended;
      if (signal.aborted) return;
      this.#logger.error({ how, complaint: this.#log.lastComplaint() }, 'etcd ended; starting it again');
      if (performance.now() - since > goodRun) waits = backoff(100, 5000, Math.random);
      await pause(waits.next().value, signal);
      if (signal.aborted) return;
      since = performance.now();
      this.start();
    }
  }

  async end(): Promise<void> {
    if (!this.#alive) return;
    this.#child?.kill('SIGTERM');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), stopWithin);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** One member that elects itself in a fraction of a second. */
function etcdArguments(logLevel: string): string[] {
  const [client, peer] = [`unix://${clientSocket}`, `unix://${peerSocket}`];
  return [
    ...['--name', 'dmwg', '--data-dir', 'data'],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `dmwg=${peer}`],
    // Read only when there is no data: data that was wiped then has another cluster id.
    ...['--initial-cluster-token', randomBytes(8).toString('hex')],
    ...['--heartbeat-interval', '20', '--election-timeout', '200'],
    ...['--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '1h', '--snapshot-count', '10000'],
    ...['--max-txn-ops', '1024', '--enable-grpc-gateway=false'],
    ...['--logger', 'zap', '--log-outputs', 'stderr', '--log-level', logLevel],
  ];
}

/** etcd takes every ETCD_ variable for a flag. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('ETCD_'));
  // etcd 3.4 wants to be told that it may run on what it calls unsupported.
  return { ...Object.fromEntries(own), ...(process.arch !== 'x64' && { ETCD_UNSUPPORTED_ARCH: process.arch }) };
}

async function requireProgram(program: string, debianPackage: string): Promise<void> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const found = await access(join(folder, program), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return;
  }
  throw new ProgramError(
    `the program "${program}" is missing: install the Debian package ${debianPackage}, or name a running etcd with --etcd URL`,
  );
}

async function prepare(home: string): Promise<void> {
  try {
    await mkdir(join(home, 'data'), { recursive: true, mode: 0o700 });
    await chmod(home, 0o700);
    await access(join(home, 'data'), constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new ProgramError(`cannot use ${home} for the data of etcd: ${errorText(error)}`);
  }
}

/** A path that is too long for a socket is shortened through an open handle of its directory. */
async function socketPath(home: string): Promise<{ readonly socket: string; readonly handle?: FileHandle }> {
  const socket = join(home, clientSocket);
  if (Buffer.byteLength(socket) <= longestSocketPath && socket.startsWith('/')) return { socket };
  const handle = await open(home, constants.O_RDONLY | constants.O_DIRECTORY);
  return { socket: `/proc/self/fd/${String(handle.fd)}/${clientSocket}`, handle };
}

/** A second registry on the same directory would take the sockets away from the first. */
async function requireNobody(socket: string, home: string): Promise<void> {
  const deadline = performance.now() + predecessorWithin;
  while ((await health(socket)) !== 'absent') {
    if (performance.now() > deadline) {
      throw new ProgramError(`${home} is in use: another dmwg-registry runs with this state directory. Stop it first.`);
    }
    await pause(50, new AbortController().signal);
  }
}

async function ready(socket: string, etcd: Supervisor, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + readyWithin;
  while (!signal.aborted && (await health(socket)) !== 'healthy') {
    const failure = etcd.failure();
    if (failure !== undefined) throw new ProgramError(`etcd does not start: ${failure}`);
    if (performance.now() > deadline) throw new ProgramError(`etcd is not ready after ${String(readyWithin)} ms`);
    await pause(20, signal);
  }
}

/** "absent": nobody listens there. */
async function health(socketPathText: string): Promise<'healthy' | 'unhealthy' | 'absent'> {
  return new Promise((resolve) => {
    const request = get({ socketPath: socketPathText, path: '/health', timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? 'healthy' : 'unhealthy');
    });
    request.once('timeout', () => {
      request.destroy();
      resolve('unhealthy');
    });
    request.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ENOENT' || error.code === 'ECONNREFUSED' ? 'absent' : 'unhealthy');
    });
  });
}
