// Looks at routes of others whenever the kernel says that something changed. Apart from the loop's own looks: what is announced, and
// by which uplinks tunnels leave, has to follow the kernel within milliseconds, and asks `ip` alone.
import type { Clock } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import { milliseconds } from '#proto/model/time.ts';
import { lookAt, looked, unhurried } from './decide/look-pace.ts';

export interface RouteWatchOptions<T> {
  /** Something that JSON can say: what it says the same is the same. */
  readonly observe: () => Promise<T>;
  /** What is there, when it is another than before. */
  readonly found: (seen: T) => void;
  /** For people: "the routes of the kernel". */
  readonly what: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface RouteWatch {
  /** The kernel may have changed. */
  readonly look: () => void;
  /** Why it is not known what is there. */
  readonly fault: () => string | undefined;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** A notice of the kernel may be lost. */
const periodicMs = 30_000;

export function createRouteWatch<T>({ observe, found, what, clock, logger }: RouteWatchOptions<T>): RouteWatch {
  let wanted = true;
  let wake: (() => void) | undefined;
  let fault: string | undefined;

  async function sleep(until: () => number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && clock.now() < until()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(1, until() - clock.now()));
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener('abort', wake, { once: true });
      });
      if (wake) signal.removeEventListener('abort', wake);
      wake = undefined;
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    let pace = unhurried;
    let last: string | undefined;
    while (!signal.aborted) {
      wanted = false;
      const began = clock.now();
      try {
        const seen = await observe();
        const text = JSON.stringify(seen);
        if (text !== last) found(seen);
        last = text;
        fault = undefined;
      } catch (error) {
        const said = errorText(error);
        if (fault !== said) logger.error({ what, error: said }, 'cannot be read');
        fault = said;
      }
      pace = looked(pace, began, milliseconds(clock.now() - began));
      await sleep(() => (wanted ? lookAt(pace, began) : began + periodicMs), signal);
    }
  }

  return {
    look() {
      wanted = true;
      wake?.();
    },
    fault: () => (fault === undefined ? undefined : `${what}: ${fault}`),
    run,
  };
}
