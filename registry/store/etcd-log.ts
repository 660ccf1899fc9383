import type { Logger } from '#proto/kit/log.ts';

export interface EtcdLog {
  /** One line of etcd's stderr. */
  readonly line: (text: string) => void;
  /** The last error that etcd reported. */
  readonly lastComplaint: () => string | undefined;
}

/** etcd's own log (JSON lines of zap) as lines of ours: its "info" is our "debug". */
export function createEtcdLog(logger: Logger): EtcdLog {
  let complaint: string | undefined;
  return {
    line: (text) => {
      const { level, message, fields } = read(text);
      if (level === 'error') {
        const cause = fields['error'];
        complaint = typeof cause === 'string' ? `${message}: ${cause}` : message;
      }
      logger[level]({ ...fields, says: message }, 'etcd');
    },
    lastComplaint: () => complaint,
  };
}

interface Line {
  readonly level: 'debug' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function read(text: string): Line {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null && 'level' in json && 'msg' in json) {
      const { level, msg, error, caller } = json as Readonly<Record<string, unknown>>;
      return { level: levelOf(level), message: String(msg), fields: { caller, ...(error !== undefined && { error }) } };
    }
  } catch {
    // Not from zap: Go's own log, a usage message or a panic.
  }
  const usage = /^(invalid value|flag provided|panic|error|conflicting)/i.test(text);
  return { level: usage ? 'error' : 'debug', message: text, fields: {} };
}

function levelOf(level: unknown): Line['level'] {
  if (level === 'warn') return 'warn';
  return level === 'debug' || level === 'info' ? 'debug' : 'error';
}
