// The counters of RFC 2677 between gRPC and the model.
import type * as wire from '#proto/gen/dmwg/v1/admin.ts';
import { NhrpType as wireType } from '#proto/gen/dmwg/v1/admin.ts';
import { type NhrpCounters, type NhrpType, nhrpTypes, noMessages, type Tally } from '#proto/model/nhrp-counters.ts';

const wireTypes: Readonly<Record<NhrpType, wire.NhrpType>> = {
  'resolution-request': wireType.NHRP_TYPE_RESOLUTION_REQUEST,
  'resolution-reply': wireType.NHRP_TYPE_RESOLUTION_REPLY,
  'registration-request': wireType.NHRP_TYPE_REGISTRATION_REQUEST,
  'registration-reply': wireType.NHRP_TYPE_REGISTRATION_REPLY,
  'purge-request': wireType.NHRP_TYPE_PURGE_REQUEST,
  'purge-reply': wireType.NHRP_TYPE_PURGE_REPLY,
  'error-indication': wireType.NHRP_TYPE_ERROR_INDICATION,
  'traffic-indication': wireType.NHRP_TYPE_TRAFFIC_INDICATION,
};

export function encodeCounters({ received, sent }: NhrpCounters): wire.Counters {
  return { received: encodeTally(received), sent: encodeTally(sent) };
}

/** What is not sent is 0. Types that this version does not know are left out. */
export function decodeCounters(counters: wire.Counters | undefined): NhrpCounters {
  return { received: decodeTally(counters?.received ?? []), sent: decodeTally(counters?.sent ?? []) };
}

function encodeTally({ messages, naks, errors }: Tally): wire.Count[] {
  const byCode = { ...naks, 'error-indication': errors };
  const coded = Object.entries(byCode).flatMap(([type, counts]) =>
    Object.entries(counts).map(([code, count]) => encodeCount(type as NhrpType, Number(code), count)),
  );
  return [...nhrpTypes.map((type) => encodeCount(type, 0, messages[type])), ...coded].filter(({ count }) => count > 0n);
}

function encodeCount(type: NhrpType, code: number, count: number): wire.Count {
  return { type: wireTypes[type], code, count: BigInt(count) };
}

function decodeTally(counts: readonly wire.Count[]): Tally {
  const { messages, naks, errors } = noMessages.sent;
  const tally = {
    messages: { ...messages },
    naks: {
      'resolution-reply': { ...naks['resolution-reply'] },
      'registration-reply': { ...naks['registration-reply'] },
    },
    errors: { ...errors },
  };
  for (const { type, code, count } of counts) {
    const name = nhrpTypes.find((known) => wireTypes[known] === type);
    if (name === undefined) continue;
    if (code === 0) tally.messages[name] = Number(count);
    else if (name === 'error-indication') tally.errors[code] = Number(count);
    else if (name === 'resolution-reply' || name === 'registration-reply') tally.naks[name][code] = Number(count);
  }
  return tally;
}
