import { spawn } from 'node:child_process';
import { access, constants, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** What `dmwg doctor` looks at. Nothing here changes the machine, or throws. */
export interface Machine {
  readonly root: boolean;
  readonly nodeVersion: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The path of a program, as a root shell finds it. */
  find(program: string): Promise<string | undefined>;
  /** Runs in a network namespace that goes with the command. */
  tryIsolated(argv: readonly string[], input?: string): Promise<{ readonly ok: boolean; readonly text: string }>;
  read(path: string): Promise<string | undefined>;
  writable(path: string): Promise<boolean>;
  /** Permission bits; undefined if there is no such file. */
  mode(path: string): Promise<number | undefined>;
  list(dir: string): Promise<readonly string[]>;
}

const timeoutMs = 5000;
const longestOutput = 4096;

export function thisMachine(path: string | undefined): Machine {
  const folders = [...new Set([...(path ?? '').split(':'), '/usr/sbin', '/usr/bin', '/sbin', '/bin'])];
  const permits = async (file: string, permission: number): Promise<boolean> => {
    const done = await quietly(async () => {
      await access(file, permission);
      return true;
    });
    return done === true;
  };
  return {
    root: process.getuid?.() === 0,
    nodeVersion: process.versions.node,
    now: Date.now(),
    async find(program) {
      for (const folder of folders.filter((name) => name.startsWith('/'))) {
        if (await permits(join(folder, program), constants.X_OK)) return join(folder, program);
      }
      return undefined;
    },
    tryIsolated: (argv, input) => run(['unshare', '--net', '--', ...argv], input),
    read: (file) => quietly(() => readFile(file, 'utf8')),
    writable: (file) => permits(file, constants.W_OK),
    mode: async (file) => {
      const found = await quietly(() => stat(file));
      return found === undefined ? undefined : found.mode & 0o777;
    },
    list: async (dir) => (await quietly(() => readdir(dir))) ?? [],
  };
}

async function quietly<T>(attempt: () => Promise<T>): Promise<T | undefined> {
  try {
    return await attempt();
  } catch {
    return undefined;
  }
}

function run(argv: readonly string[], input = ''): Promise<{ readonly ok: boolean; readonly text: string }> {
  return new Promise((resolve) => {
    const [program = '', ...rest] = argv;
    const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' });
    let text = '';
    const collect = (chunk: Buffer): void => {
      text = (text + chunk.toString('utf8')).slice(0, longestOutput);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.stdin.on('error', () => undefined);
    child.on('error', (error) => {
      resolve({ ok: false, text: error.message });
    });
    child.on('close', (code) => {
      resolve({ ok: code === 0, text: text.trim() });
    });
    child.stdin.end(input);
  });
}
