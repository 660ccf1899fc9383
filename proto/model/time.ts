import type { Brand } from './result.ts';
import { fail, ok, type Result } from './result.ts';

/** A span in seconds. */
export type Seconds = Brand<number, 'Seconds'>;
/** A span in milliseconds. */
export type Milliseconds = Brand<number, 'Milliseconds'>;
/** A moment on the wall clock: milliseconds since 1970. Stored and shown. */
export type Timestamp = Brand<number, 'Timestamp'>;
/** A moment on a clock that never jumps: milliseconds since some start. Deadlines live here. */
export type Instant = Brand<number, 'Instant'>;

export function seconds(value: number): Seconds {
  return value as Seconds;
}

export function milliseconds(value: number): Milliseconds {
  return value as Milliseconds;
}

export function toMilliseconds(span: Seconds): Milliseconds {
  return (span * 1000) as Milliseconds;
}

export function after(moment: Instant, span: Milliseconds): Instant {
  return (moment + span) as Instant;
}

const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** "90s", "5m", "24h", "7d", "300ms", or plain seconds. */
export function parseDuration(text: string): Result<Seconds> {
  const match = /^(\d{1,9})(ms|s|m|h|d)?$/.exec(text);
  if (!match) return fail('bad-duration', `"${text.slice(0, 64)}" is not a duration such as 90s, 5m, 24h or 7d`);
  return ok(seconds(Number(match[1]) * (units[match[2] ?? 's'] ?? 1)));
}
