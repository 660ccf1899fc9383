import type { Instant } from '#proto/model/time.ts';

/** Evidence that packets arrive from a peer, whatever BFD says. */
export interface Reception {
  readonly bytes: number;
  readonly changedAt: Instant;
}

/**
 * Folds a look at a peer's received bytes into what is known. `arrived` says whether something came since the last look, or
 * ever, at the first look and when the counter went backwards (the peer was made anew meanwhile).
 */
export function receive(
  known: Reception | undefined,
  rxBytes: number,
  now: Instant,
): { readonly reception: Reception; readonly arrived: boolean } {
  const arrived = rxBytes > (known && rxBytes >= known.bytes ? known.bytes : 0);
  return { reception: { bytes: rxBytes, changedAt: arrived || !known ? now : known.changedAt }, arrived };
}
