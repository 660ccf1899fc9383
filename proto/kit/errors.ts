import type { Fault } from '#proto/model/result.ts';

/** Ends a program with one clear line on stderr. */
export class ProgramError extends Error {
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.name = 'ProgramError';
    this.exitCode = exitCode;
  }
}

/** Wrong usage: exit code 2. */
export function usageError(fault: Fault): ProgramError {
  return new ProgramError(fault.message, 2);
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error: "ENOENT". */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
