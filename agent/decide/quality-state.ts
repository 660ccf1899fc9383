// What is measured of a path, and what is held against it (quality.ts).
import type { Instant } from '#proto/model/time.ts';

export interface PathReading {
  readonly rttMs: number | undefined;
  /** 0 to 1; undefined while it is not known. */
  readonly loss: number | undefined;
}

/** Of a path that is poor, or was lately. */
export interface Verdict {
  readonly poor: boolean;
  readonly since: Instant;
  /** How often it became poor, one soon after the other. */
  readonly spells: number;
  /** Of a poor one: since when it has been good without a break. */
  readonly goodSince: Instant | undefined;
  readonly reason: string;
}
