// How soon the kernel is looked at after it has changed: at once after a quiet time; ever more seldom while it does not come to
// rest, so that a route that flaps fifty times a second costs one look a second.
import { after, type Instant, milliseconds, type Milliseconds } from '#proto/model/time.ts';

export interface LookPace {
  /** From one look to the next. */
  readonly gap: Milliseconds;
  /** When the last look began. */
  readonly last: Instant;
}

const shortest = milliseconds(40);
const longest = milliseconds(1000);
/** On a slow machine, or with very many routes: most of the time is for what there is to do. */
const restPerLook = 4;

export const unhurried: LookPace = { gap: shortest, last: -Infinity as Instant };

/** When to look, something having changed. */
export function lookAt({ gap, last }: LookPace, now: Instant): Instant {
  return Math.max(now, after(last, gap)) as Instant;
}

/** After a look that began at `now` and took so long. Soon after the last one it means unrest. */
export function looked({ gap, last }: LookPace, now: Instant, took: Milliseconds): LookPace {
  const unrest = now - last < 3 * gap;
  const next = unrest ? Math.min(gap * 2, longest) : shortest;
  return { gap: milliseconds(Math.max(next, restPerLook * took)), last: now };
}
