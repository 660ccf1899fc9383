// One `ip -batch` that stays: what a program needs to start is most of what a route takes, and a path turns direct with one.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { environment } from './exec.ts';
import type { IpProgram } from './host-port.ts';

type Program = ChildProcessByStdio<Writable, null, Readable>;

/** Milliseconds for all lines of a call. */
const patience = 10_000;
/** No object of ip: it says so, and with it that all lines before are done. */
const endMark = 'dmwg-end';

/** `command`: what runs ip, with the words before its arguments. It ends with this process, as its input does. */
export function createIpProgram(command: readonly [string, ...string[]] = ['ip']): IpProgram {
  let program: Program | undefined;
  let linesGiven = 0;
  /** Calls follow each other. */
  let last: Promise<unknown> = Promise.resolve();

  function start(): Program {
    const [name, ...words] = command;
    const stdio: ['pipe', 'ignore', 'pipe'] = ['pipe', 'ignore', 'pipe'];
    const started = spawn(name, [...words, '-force', '-batch', '-'], { env: environment(), stdio });
    started.stderr.setEncoding('utf8');
    // It does not keep this process alive, and that it could not be started shows in its silence.
    for (const part of [started, started.stdin, started.stderr] as { unref?: () => void }[]) part.unref?.();
    started.on('error', () => undefined);
    started.stdin.on('error', () => undefined);
    linesGiven = 0;
    return started;
  }

  function forget(): void {
    program?.kill('SIGKILL');
    program = undefined;
  }

  function talk(to: Program, lines: readonly string[]): ReturnType<IpProgram['run']> {
    const first = linesGiven + 1;
    linesGiven += lines.length + 1;
    const end = `Command failed -:${String(linesGiven)}\n`;
    return new Promise((resolve) => {
      let said = '';
      const hear = (text: string): void => {
        said += text;
        if (said.endsWith(end)) finish({ first, stderr: said });
      };
      const fail = (): void => {
        finish(undefined);
      };
      const timer = setTimeout(fail, patience);
      const finish = (outcome: Awaited<ReturnType<IpProgram['run']>>): void => {
        clearTimeout(timer);
        to.stderr.off('data', hear);
        to.off('close', fail);
        resolve(outcome);
      };
      to.stderr.on('data', hear);
      to.once('close', fail);
      to.stdin.write([...lines, endMark, ''].join('\n'));
    });
  }

  async function runNow(lines: readonly string[]): ReturnType<IpProgram['run']> {
    program ??= start();
    const outcome = await talk(program, lines);
    if (outcome === undefined) forget();
    return outcome;
  }

  return {
    run: (lines) => {
      const result = last.then(() => runNow(lines));
      last = result;
      return result;
    },
    forget,
  };
}
