import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { slowness, until } from '../poll.ts';
import type { Host } from './host.ts';
import type { Program } from './process.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The path of one of the built programs. */
export function binary(name: 'dmwg' | 'dmwg-agent' | 'dmwg-registry'): string {
  return join(root, 'bin', name);
}

export interface LogLine {
  readonly msg: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A program that can be started again and again; its log goes on over all runs. */
export interface Service {
  readonly host: Host;
  readonly stateDir: string;
  start(): Promise<void>;
  /** Exit status. SIGTERM by default. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  isRunning(): boolean;
  pid(): number;
  /** All it has printed. */
  output(): string;
  log(): LogLine[];
}

export interface ServiceOptions {
  readonly host: Host;
  readonly stateDir: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly isReady: (log: readonly LogLine[]) => boolean;
}

export function createService({ host, stateDir, argv, env, isReady }: ServiceOptions): Service {
  const runs: Program[] = [];
  const current = (): Program | undefined => runs.at(-1);
  const output = (): string => runs.map((run) => run.stderr() + run.stdout()).join('');
  return {
    host,
    stateDir,
    start: async () => {
      if (current()?.isRunning() === true) throw new Error(`${argv.join(' ')} is running already`);
      const program = host.spawn(argv, { env });
      runs.push(program);
      await until(
        `${argv.join(' ')} is ready`,
        () => {
          if (!program.isRunning()) throw new Error(`it ended: ${program.stderr()}`);
          return isReady(parseLog(program.stderr()));
        },
        { within: 20_000 * slowness, explain: () => program.stderr() },
      );
    },
    stop: async (signal = 'SIGTERM') => (await current()?.stop(signal)) ?? null,
    isRunning: () => current()?.isRunning() ?? false,
    pid: () => current()?.pid ?? -1,
    output,
    log: () => parseLog(output()),
  };
}

function parseLog(text: string): LogLine[] {
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith('{')) return [];
    try {
      const fields = JSON.parse(line) as Record<string, unknown>;
      return [{ msg: String(fields['msg']), at: Date.parse(String(fields['time'])), fields }];
    } catch {
      return []; // The last line may be half there.
    }
  });
}
