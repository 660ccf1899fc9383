import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { systemCode } from '#proto/kit/errors.ts';

/**
 * Runs a program and hands on its stdout as bytes and its stderr as lines, until it ends or `signal` kills it. Resolves when
 * it is gone. Throws if it cannot be started. `prefix` are words before every command: `ip netns exec NAME`.
 */
export function createCapture(prefix: readonly string[] = []) {
  return async (
    program: string,
    args: readonly string[],
    sinks: { readonly onData: (piece: Uint8Array) => void; readonly onLine: (line: string) => void },
    signal: AbortSignal,
  ): Promise<void> => {
    if (signal.aborted) return;
    const [first = program, ...rest] = [...prefix, program, ...args];
    const child = spawn(first, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const stop = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', stop, { once: true });
    child.stdout.on('data', sinks.onData);
    createInterface({ input: child.stderr }).on('line', sinks.onLine);
    try {
      await new Promise<void>((resolve, reject) => {
        child.once('error', (error) => {
          reject(systemCode(error) === 'ENOENT' ? new Error(`${first} is not installed`) : error);
        });
        child.once('close', () => {
          resolve();
        });
      });
    } finally {
      signal.removeEventListener('abort', stop);
    }
  };
}
