import { errorText } from '#proto/kit/errors.ts';

/** How much longer than on a usual machine waits may take: the emulated processor of the test VM is slow. */
export const slowness = process.env['VMRUN'] === '1' ? 10 : 1;

export interface PollOptions {
  /** Milliseconds until the wait fails. */
  readonly within: number;
  /** Milliseconds between two tries on a usual machine; 50 by default. */
  readonly every?: number;
  /** The state of things, put into the error when the deadline passes. */
  readonly explain?: () => Promise<string> | string;
}

/**
 * Tries until `attempt` gives something else than undefined and false, and returns that. A throwing attempt is one that
 * failed. After the deadline it rejects with what was awaited, the last error and the explanation.
 */
export async function until<T>(
  what: string,
  attempt: () => Promise<T | undefined | false> | T | undefined | false,
  options: PollOptions,
): Promise<T> {
  const deadline = Date.now() + options.within;
  // Looking takes time too, which a slow machine needs for what is awaited.
  const pause = (options.every ?? 50) * Math.min(slowness, 5);
  let last: unknown;
  for (;;) {
    try {
      const value = await attempt();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) break;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  const reason = last === undefined ? '' : `\nlast error: ${errorText(last)}`;
  const state = options.explain === undefined ? '' : `\n${await options.explain()}`;
  throw new Error(`not within ${String(options.within)} ms: ${what}${reason}${state}`);
}
