// The world of one command: what it reads and prints. A test passes its own; main.ts passes the process.
import { ProgramError } from '#proto/kit/errors.ts';
import type { Result } from '#proto/model/result.ts';

export interface Io {
  /** Text for standard output, with its line ends. */
  readonly out: (text: string) => void;
  /** Text for standard error, with its line ends. */
  readonly err: (text: string) => void;
  /** All of standard input. */
  readonly readInput: () => Promise<string>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Standard output is a terminal. */
  readonly terminal: boolean;
  /** Aborts at the next SIGINT or SIGTERM; from this call on they do not end the program by themselves. */
  readonly interrupted: () => AbortSignal;
  /** The path of the running program, beside which its siblings are. */
  readonly program: string;
}

/** Ends the program with this code and says nothing: whoever ran before has said it. */
export class ExitCode extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${String(code)}`);
    this.name = 'ExitCode';
    this.code = code;
  }
}

/** Collects what is wrong with the arguments, so that one run names every fault. */
export class Faults {
  readonly #found: string[] = [];

  add(argument: string, message: string): void {
    this.#found.push(`${argument}: ${message}`);
  }

  /** A message that names its arguments itself. */
  addAll(message: string): void {
    this.#found.push(message);
  }

  /** The value, or undefined after the fault is noted. */
  take<T>(argument: string, result: Result<T>): T | undefined {
    if (result.ok) return result.value;
    this.add(argument, result.fault.message);
    return undefined;
  }

  /** Every good value; the bad ones are noted. */
  takeAll<T>(argument: string, texts: readonly string[], parse: (text: string) => Result<T>): T[] {
    return texts.flatMap((text) => {
      const value = this.take(argument, parse(text));
      return value === undefined ? [] : [value];
    });
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  /** Exit code 2 with all faults on one line. */
  error(): ProgramError {
    return new ProgramError(this.#found.join('; '), 2);
  }
}
