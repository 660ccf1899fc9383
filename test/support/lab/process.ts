import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { slowness } from '../poll.ts';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Milliseconds; by default a minute, more on a slow machine. The program is killed afterwards. */
  readonly timeout?: number;
}

/** Any exit status is a result; only a program that cannot be started, or does not end in time, rejects. */
export async function runAny(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const program = start(argv, options);
  program.child.stdin?.end(options.input ?? '');
  const limit = options.timeout ?? 60_000 * slowness;
  const timer = setTimeout(() => program.child.kill('SIGKILL'), limit);
  try {
    const code = await program.ended;
    if (code === null) throw new Error(`no end within ${String(limit)} ms: ${argv.join(' ')}\n${program.stderr()}`);
    return { code, stdout: program.stdout(), stderr: program.stderr() };
  } finally {
    clearTimeout(timer);
  }
}

/** Stdout of a program that must succeed. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const done = await runAny(argv, options);
  if (done.code !== 0) throw new Error(`exit ${String(done.code)}: ${argv.join(' ')}\n${done.stderr}${done.stdout}`);
  return done.stdout;
}

export function runSync(argv: readonly string[]): string {
  const [file = '', ...rest] = argv;
  return execFileSync(file, rest, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

export interface Program {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Exit status; null if a signal ended it. Rejects if it could not be started. */
  readonly ended: Promise<number | null>;
  stdout(): string;
  stderr(): string;
  isRunning(): boolean;
  /** Sends the signal and waits for the end. Does nothing to a program that has ended. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts a program that dies with this process. */
export function start(argv: readonly string[], options: RunOptions = {}): Program {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], {
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const output: string[] = [];
  const errors: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
  child.stdin.on('error', () => undefined); // a program may end without reading its input
  const ended = once(child, 'close').then(([code]) => (typeof code === 'number' ? code : null));
  ended.catch(() => undefined);
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  return {
    child,
    pid: child.pid ?? -1,
    ended,
    stdout: () => output.join(''),
    stderr: () => errors.join(''),
    isRunning,
    stop: async (signal = 'SIGTERM') => {
      if (isRunning()) child.kill(signal);
      return ended;
    },
  };
}
