// What Poll Sequences (RFC 5880 section 6.5), which are allowed at any time, tell of a path: how long an answer takes, and how many polls
// get none. So both ends of a path measure the same, whatever they run, and packets that are merely late count as nothing lost.
import type { Instant, Milliseconds } from '#proto/model/time.ts';

/** One Poll Sequence that was answered. */
export interface Trip {
  readonly rtt: Milliseconds;
  /** Polls before the answered one. */
  readonly lost: number;
}

/** How often an Up session measures: an active one chooses by it, a passive one shows it. */
export const pollInterval = { active: 2000, passive: 10_000 } as const;
/** Of the polls of one sequence; more are not waited for, as the path is Down by then. */
const mostPolls = 16;
const keptTrips = 32;
const roundTrips = 5;
/** An answer may be somewhat faster than the fastest so far. */
const tolerance = 0.8;
/** With fewer polls nothing is said of losses. */
const leastPolls = 10;

export function withPoll(polls: readonly Instant[], now: Instant): readonly Instant[] {
  return [...polls, now].slice(-mostPolls);
}

/** An answer arrives: it is to the latest poll that is old enough for it. */
export function withAnswer(trips: readonly Trip[], polls: readonly Instant[], now: Instant): readonly Trip[] {
  const least = (leastTrip(trips) ?? Infinity) * tolerance;
  const latest = polls.findLastIndex((sent) => now - sent >= least);
  const answered = Math.max(0, latest);
  const rtt = (now - (polls[answered] ?? now)) as Milliseconds;
  return [...trips, { rtt, lost: answered }].slice(-keptTrips);
}

/** The least of the latest: what a busy process adds is not the path's. */
export function leastTrip(trips: readonly Trip[]): Milliseconds | undefined {
  const latest = trips.slice(-roundTrips).map(({ rtt }) => rtt);
  return latest.length === 0 ? undefined : (Math.min(...latest) as Milliseconds);
}

/** The part of the latest polls without an answer, 0 to 1; undefined while there were too few. */
export function lossOf(trips: readonly Trip[]): number | undefined {
  const lost = trips.reduce((sum, trip) => sum + trip.lost, 0);
  const polls = trips.length + lost;
  return polls < leastPolls ? undefined : lost / polls;
}
