// What the agent's hands need from the machine they run on. Adapters: exec.ts and sysctl.ts. A test that works in a
// network namespace puts `ip netns exec NAME` in front of every program.
export interface RunOptions {
  readonly stdin?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds. */
  readonly timeout?: number;
}

export interface RunOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a short command to its end. Throws an ExecError if it does not end with exit code 0. */
export type Run = (program: string, args: readonly string[], options?: RunOptions) => Promise<RunOutput>;

/** Runs a long command and hands on its lines. Resolves when the command has ended or `signal` has ended it. */
export type Follow = (
  program: string,
  args: readonly string[],
  onLine: (line: string) => void,
  signal: AbortSignal,
) => Promise<void>;

/**
 * An `ip -force -batch` that stays. It remembers interfaces by name, also those that were made anew since: a line that failed may
 * be right, and `forget` makes it start afresh.
 */
export interface IpProgram {
  /** Runs lines, each whatever becomes of the others. Undefined: it ended or hung, and what became of them is not known. Never throws. */
  readonly run: (
    lines: readonly string[],
  ) => Promise<{ readonly stderr: string /** The number of the first line. */; readonly first: number } | undefined>;
  readonly forget: () => void;
}

/** Kernel settings by name, "net.ipv4.ip_forward"; as with sysctl(8), a slash stands for the dot in an interface's name. */
export interface Sysctls {
  /** Undefined when the kernel has no such setting. */
  readonly read: (name: string) => Promise<string | undefined>;
  readonly write: (name: string, value: string) => Promise<void>;
  /** What is below a name: of "net.ipv6.conf", the interfaces, "all" and "default". None if there is no such name. */
  readonly children: (name: string) => Promise<string[]>;
}

export interface ExecFailure {
  readonly program: string;
  readonly args: readonly string[];
  /** Undefined when it did not start or was killed. */
  readonly exitCode: number | undefined;
  readonly timedOut?: boolean;
  readonly stderr: string;
  readonly message: string;
}

/** A command that failed. `args` hold no secret: keys travel by file or stdin. */
export class ExecError extends Error {
  readonly program: string;
  readonly args: readonly string[];
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
  readonly stderr: string;

  constructor(failure: ExecFailure) {
    super(failure.message);
    this.name = 'ExecError';
    this.program = failure.program;
    this.args = failure.args;
    this.exitCode = failure.exitCode;
    this.timedOut = failure.timedOut ?? false;
    this.stderr = failure.stderr;
  }
}
