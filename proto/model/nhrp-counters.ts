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

const emptyTally: Tally = {
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

export const noMessages: NhrpCounters = { received: emptyTally, sent: emptyTally };

/** The counters after one more message. */
export function count(counters: NhrpCounters, direction: Direction, { body }: NhrpMessage): NhrpCounters {
  return { ...counters, [direction]: countIn(counters[direction], body) };
}

function countIn(tally: Tally, body: NhrpBody): Tally {
  const messages = { ...tally.messages, [body.type]: tally.messages[body.type] + 1 };
  const nak = nakCode(body);
  if (nak) {
    const naks = { ...tally.naks, [nak.type]: oneMore(tally.naks[nak.type], nak.code) };
    return { ...tally, messages, naks };
  }
  if (body.type !== 'error-indication') return { ...tally, messages };
  const code = knownErrors.has(body.code) ? body.code : unknownError;
  return { ...tally, messages, errors: oneMore(tally.errors, code) };
}

function oneMore(counts: ByCode, code: number): ByCode {
  return { ...counts, [code]: (counts[code] ?? 0) + 1 };
}

/** The code with which a reply refuses; undefined if it does not, or if the message is no reply. */
export function nakCode(body: NhrpBody): { readonly type: ReplyType; readonly code: number } | undefined {
  if (body.type !== 'resolution-reply' && body.type !== 'registration-reply') return undefined;
  const refused = body.cies.find(({ code }) => code !== cieCode.ok);
  return refused && { type: body.type, code: refused.code };
}
