// Counters as in the NHRP MIB (RFC 2677): messages by direction and type, refusals and error indications by code.
import { cieCode, errorCode, type NhrpBody, type NhrpMessage } from './nhrp.ts';

export type NhrpType = NhrpBody['type'];
export type Direction = 'received' | 'sent';
export type ReplyType = 'resolution-reply' | 'registration-reply';
type ByCode = Readonly<Record<number, number>>;

/** One direction. */
export interface Tally {
  readonly messages: Readonly<Record<NhrpType, number>>;
  /** Replies that refuse, by their code. A reply is one thing, as in RFC 2677: its first code other than 0 is its code. */
  readonly naks: Readonly<Record<ReplyType, ByCode>>;
  /** Error indications by code; those that RFC 2332 5.2.7 does not know together, as `unknownError`. */
  readonly errors: ByCode;
}

type Counts = Record<number, number>;

/** Of messages that are being counted. */
interface RunningTally {
  readonly messages: Record<NhrpType, number>;
  readonly naks: Readonly<Record<ReplyType, Counts>>;
  readonly errors: Counts;
}

export type NhrpCounters = Readonly<Record<Direction, Tally>>;

export const unknownError = 0xffff;
const knownErrors: ReadonlySet<number> = new Set(Object.values(errorCode));

/** In the order of their packet types: 1 (RFC 2332 5.2) to 8 (DMVPN). */
export const nhrpTypes: readonly NhrpType[] = [
  'resolution-request',
  'resolution-reply',
  'registration-request',
  'registration-reply',
  'purge-request',
  'purge-reply',
  'error-indication',
  'traffic-indication',
];

function emptyTally(): RunningTally {
  return {
    messages: {
      'resolution-request': 0,
      'resolution-reply': 0,
      'registration-request': 0,
      'registration-reply': 0,
      'purge-request': 0,
      'purge-reply': 0,
      'error-indication': 0,
      'traffic-indication': 0,
    },
    naks: { 'resolution-reply': {}, 'registration-reply': {} },
    errors: {},
  };
}

export const noMessages: NhrpCounters = { received: emptyTally(), sent: emptyTally() };

/** Counts in place: thousands of messages may pass in a second. */
export class NhrpCounter {
  readonly #running = { received: emptyTally(), sent: emptyTally() };

  add(direction: Direction, { body }: NhrpMessage): void {
    const tally = this.#running[direction];
    tally.messages[body.type]++;
    const nak = nakCode(body);
    if (nak) oneMore(tally.naks[nak.type], nak.code);
    else if (body.type === 'error-indication')
      oneMore(tally.errors, knownErrors.has(body.code) ? body.code : unknownError);
  }

  /** As it is now; it does not change with what comes later. */
  read(): NhrpCounters {
    return { received: copyOf(this.#running.received), sent: copyOf(this.#running.sent) };
  }
}

function copyOf({ messages, naks, errors }: RunningTally): Tally {
  return {
    messages: { ...messages },
    naks: {
      'resolution-reply': { ...naks['resolution-reply'] },
      'registration-reply': { ...naks['registration-reply'] },
    },
    errors: { ...errors },
  };
}

function oneMore(counts: Counts, code: number): void {
  counts[code] = (counts[code] ?? 0) + 1;
}

/** The code with which a reply refuses; undefined if it does not, or if the message is no reply. */
export function nakCode(body: NhrpBody): { readonly type: ReplyType; readonly code: number } | undefined {
  if (body.type !== 'resolution-reply' && body.type !== 'registration-reply') return undefined;
  const refused = body.cies.find(({ code }) => code !== cieCode.ok);
  return refused && { type: body.type, code: refused.code };
}
