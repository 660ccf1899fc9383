import { constants } from 'node:fs';
import { access, chmod, type FileHandle, mkdir, open } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { pause } from '#proto/kit/clock.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import { clientSocket, EtcdChild } from './etcd-child.ts';
import { health } from './etcd-health.ts';
import type { EtcdCredentials } from './etcd-port.ts';

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

/** What the kernel takes as the path of a unix socket. */
const longestSocketPath = 107;

/** Milliseconds. */
const readyWithin = 30_000;
/** Milliseconds that a predecessor, killed together with its registry, may need to disappear. */
const predecessorWithin = 3000;

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
  const etcd = new EtcdChild(home, logger);
  const stop = async (): Promise<void> => {
    signal.removeEventListener('abort', abort);
    await etcd.stop();
    await handle?.close().catch(() => undefined);
  };
  const abort = (): void => {
    void stop();
  };
  try {
    await requireNobody(socket, home);
    etcd.start();
    await ready(socket, etcd, signal);
  } catch (error) {
    await stop();
    throw error;
  }
  etcd.supervise();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  return { endpoints: [`unix:${socket}`], stop };
}

/**
 * The etcd of the registry that runs on the directory; if none does, one that runs until stop(), started after `check`. Throws as
 * startEmbeddedEtcd.
 */
export async function borrowEmbeddedEtcd(
  options: EmbeddedEtcdOptions,
  check: () => Promise<void>,
): Promise<EmbeddedEtcd> {
  const home = join(options.dir, 'etcd');
  const isThere = await access(home).then(
    () => true,
    () => false,
  );
  if (isThere) {
    const { socket, handle } = await socketPath(home);
    const stop = async (): Promise<void> => handle?.close().catch(() => undefined);
    if ((await health(socket)) !== 'absent') return { endpoints: [`unix:${socket}`], stop };
    await stop();
  }
  await check();
  return startEmbeddedEtcd(options);
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
    await pause(50);
  }
}

async function ready(socket: string, etcd: EtcdChild, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + readyWithin;
  while (!signal.aborted && (await health(socket)) !== 'healthy') {
    const failure = etcd.failure();
    if (failure !== undefined) throw new ProgramError(`etcd does not start: ${failure}`);
    if (performance.now() > deadline) throw new ProgramError(`etcd is not ready after ${String(readyWithin)} ms`);
    await pause(20, signal);
  }
}
