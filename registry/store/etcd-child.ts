import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { backoff } from '#proto/kit/backoff.ts';
import { pause } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import { createEtcdLog } from './etcd-log.ts';

/**
 * etcd names a unix socket "HOST:PORT" and creates it in its working directory. Sockets and not loopback ports, which every
 * local user reaches: the directory is 0700, nothing can take the name, no certificate has to be made and renewed, and it
 * works in a network namespace whose loopback is down. etcd 3.4 takes them for clients and peers, etcd3 as "unix:PATH".
 */
export const clientSocket = 'client:0';
const peerSocket = 'peer:0';
/** Milliseconds from SIGTERM to SIGKILL, which loses nothing. The registry has 5 s for everything. */
const stopWithin = 2000;
/** Milliseconds after which a run counts as good, and the next restart is quick again. */
const goodRun = 10_000;

/** The etcd process of a registry, in its home directory. */
export class EtcdChild {
  readonly #home: string;
  readonly #logger: Logger;
  readonly #log: ReturnType<typeof createEtcdLog>;
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('it was not started');
  #alive = false;
  readonly #stopped = new AbortController();
  #supervision: Promise<void> | undefined;

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

  /** Starts etcd again whenever it ends, until stop(). */
  supervise(): void {
    this.#supervision = this.#supervise(this.#stopped.signal);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    if (this.#alive) {
      this.#child?.kill('SIGTERM');
      const timer = setTimeout(() => this.#child?.kill('SIGKILL'), stopWithin);
      await this.#ended;
      clearTimeout(timer);
    }
    await this.#supervision;
  }

  async #supervise(signal: AbortSignal): Promise<void> {
    let waits = backoff(100, 5000, Math.random);
    for (let since = performance.now(); ; since = performance.now()) {
      const how = await this.#ended;
      if (signal.aborted) return;
      this.#logger.error({ how, complaint: this.#log.lastComplaint() }, 'etcd ended; starting it again');
      if (performance.now() - since > goodRun) waits = backoff(100, 5000, Math.random);
      await pause(waits.next().value, signal);
      if (isAborted(signal)) return;
      this.start();
    }
  }
}

/** A function of its own, as the compiler believes that a signal does not change. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
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
