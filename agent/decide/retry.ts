// Changes that fail are tried again: soon at first, then ever more seldom while they fail in the same way.
import { type Change, interfaceOf, subjectOf } from './change.ts';
import { after, type Instant, type Milliseconds, milliseconds } from '#proto/model/time.ts';

export interface Failure {
  readonly change: Change;
  readonly error: string;
  readonly wait: Milliseconds;
  readonly retryAt: Instant;
}

export type Failures = ReadonlyMap<string, Failure>;

export interface Attempt {
  readonly change: Change;
  readonly error: string | undefined;
}

export const firstWait = milliseconds(1000);
export const longestWait = milliseconds(30_000);

/** Without those that failed and are not due yet, and without what needs an interface that could not be made. */
export function dueChanges(wanted: readonly Change[], failures: Failures, now: Instant): Change[] {
  const waits = (change: Change): boolean => (failures.get(identity(change))?.retryAt ?? now) > now;
  const missing = new Set<string>();
  for (const change of wanted) if (change.kind === 'create-interface' && waits(change)) missing.add(change.tunnel.name);
  return wanted.filter((change) => !waits(change) && !missing.has(interfaceOf(change) ?? ''));
}

/** After an attempt: of those that failed before, the ones that are still wanted. */
export function nextFailures(
  before: Failures,
  wanted: readonly Change[],
  attempts: readonly Attempt[],
  now: Instant,
): Failures {
  if (before.size === 0 && attempts.every(({ error }) => error === undefined)) return before;
  const next = new Map<string, Failure>();
  if (before.size > 0) {
    for (const change of wanted) {
      const failure = before.get(identity(change));
      if (failure) next.set(identity(change), failure);
    }
  }
  const notMade = new Set(
    attempts.flatMap(({ change, error }) =>
      change.kind === 'create-interface' && error !== undefined ? [change.tunnel.name] : [],
    ),
  );
  for (const { change, error } of attempts) {
    const key = identity(change);
    if (error === undefined || notMade.has(interfaceOf(change) ?? '')) next.delete(key);
    else {
      const last = before.get(key);
      const wait = last?.error === error ? milliseconds(Math.min(last.wait * 2, longestWait)) : firstWait;
      next.set(key, { change, error, wait, retryAt: after(now, wait) });
    }
  }
  return next;
}

/** With the port, so that another one is tried at once. */
function identity(change: Change): string {
  const subject = `${change.kind} ${subjectOf(change)}`;
  if (change.kind === 'create-interface') return `${subject} ${String(change.tunnel.listenPort)}`;
  return change.kind === 'configure-interface' ? `${subject} ${String(change.to.listenPort)}` : subject;
}

export function failureText({ change, error }: Pick<Failure, 'change' | 'error'>): string {
  return `${change.kind} ${subjectOf(change)}: ${error}`;
}
