// One BFD session as a pure machine: RFC 5880 in asynchronous mode, without echo and authentication. Time and randomness
// are arguments, packets to send and the next wake-up are results. Never throws. bfd-session.ts has its values and intervals.
import type { Instant } from '#proto/model/time.ts';
import {
  adopt,
  type BfdParameters,
  type BfdRemote,
  type BfdSession,
  detectAt,
  sendAt,
  sendFrom,
  timingIn,
} from './bfd-session.ts';
import { pollInterval, withAnswer, withPoll } from './bfd-measure.ts';
import { type BfdDiagnosticName, bfdDiagnostic, type BfdPacket, type BfdState, diagnosticName } from './bfd-packet.ts';

export interface BfdTransition {
  readonly from: BfdState;
  readonly to: BfdState;
  readonly diagnostic: BfdDiagnosticName;
}

export interface BfdStep {
  readonly session: BfdSession;
  /** To be sent now, in this order. */
  readonly send: readonly BfdPacket[];
  /** When to call bfdTick; Infinity = not before something else happens. */
  readonly wakeAt: Instant;
  /** From when on bfdTick does something, if the caller is awake for another reason. */
  readonly mayAt: Instant;
  readonly transition: BfdTransition | undefined;
}

/** What the other end is taken for until it speaks (6.8.1). */
const unheard: BfdRemote = {
  discriminator: 0,
  state: 'down',
  demand: false,
  requiredMinRx: 1,
  desiredMinTx: 0,
  multiplier: 0,
};

/** An active session sends its first packet at once. `discriminator`: unique on this host, not 0. `random`: [0, 1). */
export function bfdStart(parameters: BfdParameters, now: Instant, discriminator: number, random: number): BfdStep {
  const timing = timingIn('down', parameters);
  const session: BfdSession = {
    parameters,
    discriminator,
    state: 'down',
    diagnostic: bfdDiagnostic.none,
    remote: unheard,
    advertised: timing,
    effective: timing,
    poll: 'none',
    polls: [now],
    sentAt: now,
    jitter: random,
    heardAt: now,
    trips: [],
  };
  return bfdKick(session, now, random);
}

/** Reception (6.8.6) of a packet that decodeBfdPacket accepted and that came from the session's other end. */
export function bfdReceive(session: BfdSession, packet: BfdPacket, now: Instant, random: number): BfdStep {
  if (packet.yourDiscriminator !== 0 && packet.yourDiscriminator !== session.discriminator) return rest(session);
  const heard = hear(session, packet, now);
  const entered = react(heard, packet.state);
  if (packet.poll && session.state !== 'admin-down') {
    // The answer also tells a change of state; it does not count as a periodic packet.
    return rest(entered, [packetOf(entered, false, true)], session);
  }
  return entered.state === heard.state ? rest(entered) : transmit(entered, now, random, session);
}

/** Detection (6.8.4) and periodic transmission (6.8.7). Calls before `mayAt` do nothing. */
export function bfdTick(session: BfdSession, now: Instant, random: number): BfdStep {
  if (now >= detectAt(session)) {
    const forgotten = { remote: unheard, trips: [] };
    if (session.state !== 'init' && session.state !== 'up') return bfdTick({ ...session, ...forgotten }, now, random);
    // Told to the discriminator that is then forgotten: a passive end may send nothing afterwards.
    const down = transmit(enter(session, 'down', bfdDiagnostic.detectionTimeExpired), now, random, session);
    return rest({ ...down.session, ...forgotten }, down.send, session);
  }
  return now >= sendFrom(session) ? transmit(session, now, random, session) : rest(session);
}

/** Takes other parameters. While Up, a Poll Sequence tells them to the other end before slower ones count (6.8.3). */
export function bfdConfigure(session: BfdSession, parameters: BfdParameters): BfdStep {
  return rest(adopt({ ...session, parameters }));
}

/** Sends a packet now, out of turn, if the role allows any. */
export function bfdKick(session: BfdSession, now: Instant, random: number): BfdStep {
  if (session.parameters.role === 'passive' && session.remote.discriminator === 0) return rest(session);
  return transmit(session, now, random, session);
}

/** Ends the session on our side (6.8.16) and tells the other end. */
export function bfdAdminDown(session: BfdSession, now: Instant, random: number): BfdStep {
  const ended = enter(session, 'admin-down', bfdDiagnostic.administrativelyDown);
  const step = bfdKick(ended, now, random);
  return rest(step.session, step.send, session);
}

function hear(session: BfdSession, packet: BfdPacket, now: Instant): BfdSession {
  const heard: BfdSession = {
    ...session,
    heardAt: now,
    remote: {
      discriminator: packet.myDiscriminator,
      state: packet.state,
      demand: packet.demand,
      requiredMinRx: packet.requiredMinRx,
      desiredMinTx: packet.desiredMinTx,
      multiplier: packet.multiplier,
    },
  };
  if (packet.final && session.poll === 'sent') {
    const trips = withAnswer(session.trips, session.polls, now);
    return { ...heard, poll: 'settling', effective: session.advertised, trips };
  }
  if (!packet.final && session.poll === 'settling') return adopt({ ...heard, poll: 'none' });
  return heard;
}

/** The state machine of 6.2 and 6.8.6. */
function react(session: BfdSession, remote: BfdState): BfdSession {
  switch (session.state) {
    case 'admin-down':
      return session;
    case 'down':
      if (remote === 'down') return enter(session, 'init', session.diagnostic);
      return remote === 'init' ? enter(session, 'up', bfdDiagnostic.none) : session;
    case 'init':
      if (remote === 'admin-down') return enter(session, 'down', bfdDiagnostic.neighbourDown);
      return remote === 'down' ? session : enter(session, 'up', bfdDiagnostic.none);
    case 'up':
      return remote === 'init' || remote === 'up' ? session : enter(session, 'down', bfdDiagnostic.neighbourDown);
  }
}

/**
 * Timers take the new state's values at once, as only an Up session has to wait for a Poll Sequence (6.8.3). One follows
 * entry into Up: the interval has changed, and its answer is the first measure of the round trip.
 */
function enter(session: BfdSession, state: BfdState, diagnostic: number): BfdSession {
  const timing = timingIn(state, session.parameters);
  const poll = state === 'up' ? 'due' : 'none';
  return { ...session, state, diagnostic, advertised: timing, effective: timing, poll, trips: [] };
}

function transmit(session: BfdSession, now: Instant, random: number, before: BfdSession): BfdStep {
  const rested = now - (session.polls[0] ?? now) >= pollInterval[session.parameters.role];
  const starts = session.poll === 'due' || (rested && session.state === 'up' && session.poll === 'none');
  const poll = starts ? 'sent' : session.poll;
  const sent: BfdSession = {
    ...session,
    sentAt: now,
    jitter: random,
    poll,
    polls: poll === 'sent' ? withPoll(starts ? [] : session.polls, now) : session.polls,
  };
  return rest(sent, [packetOf(sent, sent.poll === 'sent', false)], before);
}

/** Section 6.8.7. */
function packetOf(session: BfdSession, poll: boolean, final: boolean): BfdPacket {
  return {
    diagnostic: session.diagnostic,
    state: session.state,
    poll,
    final,
    independent: false,
    demand: false,
    multiplier: session.parameters.multiplier,
    myDiscriminator: session.discriminator,
    yourDiscriminator: session.remote.discriminator,
    desiredMinTx: Math.round(session.advertised.desiredMinTx * 1000),
    requiredMinRx: Math.round(session.advertised.requiredMinRx * 1000),
    requiredMinEchoRx: 0,
  };
}

function rest(session: BfdSession, send: readonly BfdPacket[] = [], before: BfdSession = session): BfdStep {
  const changed = session.state !== before.state;
  return {
    session,
    send,
    wakeAt: Math.min(sendAt(session), detectAt(session)) as Instant,
    mayAt: Math.min(sendFrom(session), detectAt(session)) as Instant,
    transition: changed
      ? { from: before.state, to: session.state, diagnostic: diagnosticName(session.diagnostic) }
      : undefined,
  };
}
