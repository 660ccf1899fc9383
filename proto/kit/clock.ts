import type { Instant, Milliseconds, Timestamp } from '#proto/model/time.ts';

export interface Clock {
  /** Never jumps. For deadlines and intervals. */
  now(): Instant;
  /** The wall clock. For what is stored and shown. */
  date(): Timestamp;
}

export const systemClock: Clock = {
  now: () => performance.now() as Instant,
  date: () => Date.now() as Timestamp,
};

/**
 * Resolves after `span`, or at once when `signal` aborts. Never rejects: look at the signal afterwards. Who has no signal gives
 * none: Node takes more than ten waiters on one that nobody aborts for a leak.
 */
export async function pause(span: Milliseconds | number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, span);
    signal?.addEventListener('abort', done, { once: true });
  });
}
