import { type Logger, pino } from 'pino';

export interface LogLines {
  readonly logger: Logger;
  /** As they were written, parsed. */
  readonly lines: Record<string, unknown>[];
}

/** A logger that keeps its lines for the test. */
export function logLines(level = 'trace'): LogLines {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as Record<string, unknown>);
  };
  return { logger: pino({ level }, { write }), lines };
}
