import type { Milliseconds } from '#proto/model/time.ts';

/**
 * Waits that double from `first` up to `most`, each with "full jitter" in its upper half: a crowd that failed together does
 * not come back together. `random` gives [0, 1).
 */
export function* backoff(first: number, most: number, random: () => number): Generator<Milliseconds, never> {
  for (let wait = first; ; wait = Math.min(wait * 2, most)) {
    yield (wait / 2 + (random() * wait) / 2) as Milliseconds;
  }
}
