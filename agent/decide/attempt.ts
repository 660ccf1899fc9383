// How far an attempt to reach the other end of a direct tunnel has come.
import type { Endpoint } from '#proto/model/endpoint.ts';
import { after, type Instant, type Milliseconds, milliseconds } from '#proto/model/time.ts';

/** Back-off after failed attempts. */
const firstRetryMs = 5000;
const lastRetryMs = 300_000;

export type RemotePhase =
  /** The peer is there, both ends try. */
  | 'punching'
  /** BFD is Up: routes are installed. */
  | 'direct'
  /** BFD went Down: routes are gone, the peer stays, as the other end may still send, and may come back. */
  | 'recovering'
  /** Not needed any more: the other end is told, the peer stays until it must have heard. */
  | 'closing'
  /** No direct path; the hub carries the traffic until `retryAt`. */
  | 'failed';

export interface RendezvousProgress {
  readonly startAt: Instant;
  /** When the latest round was begun; the first one is begun by making the peer. */
  readonly begunAt: Instant;
  /** Until then a peer that was there already stays as it is: the other end may still send by it. */
  readonly spareUntil: Instant;
  readonly round: Milliseconds;
  readonly rounds: readonly Endpoint[];
  /** Index of the round that comes next. */
  readonly next: number;
}

/** The moment of a round; after the last one, the moment of giving up. */
export function roundAt(progress: Pick<RendezvousProgress, 'startAt' | 'round'>, index: number): Instant {
  return after(progress.startAt, milliseconds(progress.round * index));
}

/** For the other end of a tunnel whose place has changed. */
export interface Search {
  /** Still to be tried. */
  readonly rounds: readonly Endpoint[];
  /** Received bytes when it began to wait at the present place; absent until the first look. */
  readonly bytes: number | undefined;
  readonly since: Instant;
  /** The next look. */
  readonly nextAt: Instant;
}

/** After so many failed attempts in a row. */
export function retryWait(failures: number): Milliseconds {
  return milliseconds(Math.min(firstRetryMs * 2 ** Math.min(failures, 10), lastRetryMs));
}
