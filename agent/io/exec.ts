// The only place that starts programs for the agent's hands. Arguments go as a vector, never through a shell; the
// environment is empty but for PATH and LC_ALL, so that output and behaviour do not depend on who started the agent.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { systemCode } from '#proto/kit/errors.ts';
import { ExecError, type RunOptions, type RunOutput } from './host-port.ts';

const defaultTimeout = 10_000;
const largestOutput = 256 * 1024 * 1024;
const largestStderr = 1024 * 1024;

/** The Debian package of every program that the agent runs. */
const packages: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  setpriv: 'util-linux',
  setsid: 'util-linux',
  tcpdump: 'tcpdump',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
};

/** The Debian package of a program. */
export function packageOf(program: string): string {
  return packages[program] ?? program;
}

/** Runs a program to its end, at most `timeout` milliseconds. */
export function execute(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunOutput> {
  const timeout = options.timeout ?? defaultTimeout;
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      [...args],
      {
        env: environment(),
        timeout,
        killSignal: 'SIGKILL',
        maxBuffer: largestOutput,
        encoding: 'utf8',
        ...(options.signal ? { signal: options.signal } : {}),
      },
      (error, stdout, stderr) => {
        if (error) reject(execError(program, args, error, stderr, timeout));
        else resolve({ stdout, stderr });
      },
    );
    // A program that ends before it has read its input is judged by its exit code, not by our broken pipe.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.stdin ?? '');
  });
}

/** Starts a program and hands on its lines until it ends. `signal` kills it. Throws if it cannot be started. */
export async function follow(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  const child = spawn(program, [...args], { env: environment(), stdio: ['ignore', 'pipe', 'ignore'] });
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  createInterface({ input: child.stdout }).on('line', onLine);
  try {
    await ended(child);
  } catch (error) {
    throw execError(program, args, error, '', 0);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      resolve();
    });
  });
}

/** Where programs are looked for. */
export function searchPath(): string {
  return process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin';
}

/** Of every program that the agent starts. */
export function environment(): NodeJS.ProcessEnv {
  return { PATH: searchPath(), LC_ALL: 'C' };
}

function execError(
  program: string,
  args: readonly string[],
  error: unknown,
  stderr: string,
  timeout: number,
): ExecError {
  const head = stderr.trim().slice(0, 500);
  const exitCode = error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
  const failure = (message: string, timedOut = false): ExecError =>
    new ExecError({ program, args, exitCode, timedOut, stderr: stderr.trim().slice(0, largestStderr), message });
  const command = [program, ...args].join(' ');
  const shown = command.length > 200 ? `${command.slice(0, 200)}...` : command;
  if (systemCode(error) === 'ENOENT') {
    const from = packages[program];
    return failure(`${program} is not installed${from ? `: install the Debian package ${from}` : ''}`);
  }
  if (systemCode(error) === 'ABORT_ERR') return failure(`"${shown}" was stopped`);
  if (exitCode === undefined && error instanceof Error && 'killed' in error && error.killed === true) {
    return failure(`"${shown}" did not end within ${String(timeout)} ms`, true);
  }
  const why = head === '' ? (error instanceof Error ? error.message.slice(0, 200) : String(error)) : head;
  return failure(`"${shown}" failed${exitCode === undefined ? '' : ` with exit code ${String(exitCode)}`}: ${why}`);
}
