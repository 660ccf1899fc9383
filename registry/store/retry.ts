import { backoff } from '#proto/kit/backoff.ts';
import { type Clock, pause } from '#proto/kit/clock.ts';
import type { Instant } from '#proto/model/time.ts';
import { EtcdError } from './etcd-port.ts';

/**
 * Repeats an attempt while it fails for reasons that pass, until `deadline`; then throws the last error. `again` tells
 * the attempt that an earlier one may have had its effect.
 */
export async function retry<T>(clock: Clock, deadline: Instant, attempt: (again: boolean) => Promise<T>): Promise<T> {
  const waits = backoff(50, 500, Math.random);
  for (let again = false; ; again = true) {
    const outcome = await settleBefore(clock, deadline, attempt(again));
    if ('value' in outcome) return outcome.value;
    const wait = waits.next().value;
    const passes = outcome.error instanceof EtcdError && outcome.error.kind === 'transient';
    if (!passes || clock.now() + wait >= deadline) throw outcome.error;
    await pause(wait);
  }
}

/** Rejections become values; an attempt that outlasts the deadline is an EtcdError, and is left alone. */
export async function settleBefore<T>(
  clock: Clock,
  deadline: Instant,
  attempt: Promise<T>,
): Promise<{ readonly value: T } | { readonly error: unknown }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ readonly error: EtcdError }>((resolve) => {
    timer = setTimeout(
      () => {
        resolve({ error: new EtcdError('transient', 'etcd did not answer in time') });
      },
      Math.max(0, deadline - clock.now()),
    );
  });
  const settled = attempt.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const outcome = await Promise.race([settled, late]);
  clearTimeout(timer);
  return outcome;
}
