// Shared small parts of both programs. Imports Node, npm and proto/model, nothing of agent/ or registry/.
import { type Logger, pino } from 'pino';

export type { Logger };

/** JSON lines on stderr. The message is constant; what varies is in fields. Secrets print themselves as "[secret]". */
export function createLogger(program: string, level: string): Logger {
  return pino(
    { base: { program, pid: process.pid }, level, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}
