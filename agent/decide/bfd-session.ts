// The values of a BFD session, and the intervals and deadlines that follow from them. As nothing but the values is kept, a
// change of an interval counts at once, from the last packet on (RFC 5880 section 6.8.3).
import type { Instant, Milliseconds } from '#proto/model/time.ts';
import type { Trip } from './bfd-measure.ts';
import type { BfdState } from './bfd-packet.ts';

export interface BfdTiming {
  /** Our shortest interval between packets that we send. */
  readonly desiredMinTx: Milliseconds;
  /** The shortest interval between packets that we can receive. */
  readonly requiredMinRx: Milliseconds;
}

export interface BfdParameters extends BfdTiming {
  /** Intervals without a packet until the other end declares us lost: 1 to 255. */
  readonly multiplier: number;
  /** A passive end sends nothing until it has heard the other (6.1). */
  readonly role: 'active' | 'passive';
}

/** The other end, as its last packet says. */
export interface BfdRemote {
  /** 0 = not heard, or not for a detection time. */
  readonly discriminator: number;
  readonly state: BfdState;
  readonly demand: boolean;
  /** Microseconds. */
  readonly requiredMinRx: number;
  /** Microseconds. */
  readonly desiredMinTx: number;
  readonly multiplier: number;
}

export interface BfdSession {
  /** What is wanted; `advertised` follows when no Poll Sequence is under way. */
  readonly parameters: BfdParameters;
  readonly discriminator: number;
  readonly state: BfdState;
  readonly diagnostic: number;
  readonly remote: BfdRemote;
  /** What our packets say. */
  readonly advertised: BfdTiming;
  /** What we go by: differs from `advertised` until a Poll Sequence has told the other end (6.8.3). */
  readonly effective: BfdTiming;
  /**
   * Our Poll Sequence (6.5): `due` = the next packet starts it, `sent` = waits for Final, `settling` = waits for a packet
   * without Final, so that the next sequence cannot be ended by an answer to this one (6.8.3).
   */
  readonly poll: 'none' | 'due' | 'sent' | 'settling';
  readonly sentAt: Instant;
  /** [0, 1): the draw for the interval after `sentAt`. */
  readonly jitter: number;
  readonly heardAt: Instant;
  /** When the packets of the latest Poll Sequence left. */
  readonly polls: readonly Instant[];
  /** The latest Poll Sequences since the session came Up, newest last. */
  readonly trips: readonly Trip[];
}

/** "Not less than one second" while not Up (6.8.3). */
const slowInterval = 1000;
const never = Infinity as Instant;

/** What a session in `state` advertises. */
export function timingIn(state: BfdState, parameters: BfdParameters): BfdTiming {
  const { desiredMinTx, requiredMinRx } = parameters;
  if (state === 'up') return { desiredMinTx, requiredMinRx };
  return { desiredMinTx: Math.max(slowInterval, desiredMinTx) as Milliseconds, requiredMinRx };
}

/**
 * Advertises what the parameters say, unless a Poll Sequence is under way: then later. While Up, a longer transmit interval
 * and a shorter receive interval count only when the other end has answered the Poll (6.8.3).
 */
export function adopt(session: BfdSession): BfdSession {
  if (session.poll === 'sent' || session.poll === 'settling') return session;
  const { advertised, effective } = session;
  const timing = timingIn(session.state, session.parameters);
  if (timing.desiredMinTx === advertised.desiredMinTx && timing.requiredMinRx === advertised.requiredMinRx) {
    return session;
  }
  if (session.state !== 'up') return { ...session, advertised: timing, effective: timing };
  return {
    ...session,
    advertised: timing,
    effective: {
      desiredMinTx: Math.min(effective.desiredMinTx, timing.desiredMinTx) as Milliseconds,
      requiredMinRx: Math.max(effective.requiredMinRx, timing.requiredMinRx) as Milliseconds,
    },
    poll: 'due',
  };
}

/** 75 to 100 % of the interval lie between packets (6.8.7); never more than 90 % if one lost packet is one too many. */
const leastShare = 0.75;

/** When the next periodic packet is due (6.8.7); Infinity = none. */
export function sendAt(session: BfdSession): Instant {
  const spread = session.parameters.multiplier === 1 ? 0.15 : 0.25;
  return sendAfter(session, leastShare + session.jitter * spread);
}

/** From when on it may leave; Infinity = there is none. */
export function sendFrom(session: BfdSession): Instant {
  return sendAfter(session, leastShare);
}

function sendAfter(session: BfdSession, share: number): Instant {
  const { remote, parameters } = session;
  if (parameters.role === 'passive' && remote.discriminator === 0) return never;
  if (remote.requiredMinRx === 0) return never;
  const polls = session.poll === 'due' || session.poll === 'sent';
  if (remote.demand && session.state === 'up' && remote.state === 'up' && !polls) return never;
  const interval = Math.max(session.effective.desiredMinTx, remote.requiredMinRx / 1000);
  return (session.sentAt + interval * share) as Instant;
}

/** How long the other end may be silent (6.8.4); meaningless before it was heard. */
export function detectionTime(session: BfdSession): Milliseconds {
  const { remote, effective } = session;
  return (remote.multiplier * Math.max(effective.requiredMinRx, remote.desiredMinTx / 1000)) as Milliseconds;
}

/** When the other end counts as lost; Infinity = it was not heard. */
export function detectAt(session: BfdSession): Instant {
  if (session.remote.discriminator === 0) return never;
  return (session.heardAt + detectionTime(session)) as Instant;
}
