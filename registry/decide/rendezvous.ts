import { addressValue, type Address, containsPrefix, familyOf, hostPrefix, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, endpointAddress, endpointFamily } from '#proto/model/endpoint.ts';
import type { Rendezvous } from '#proto/model/nhrp.ts';
import { type Milliseconds, milliseconds } from '#proto/model/time.ts';
import { isBehindNat, multipointOf, observedEndpoints } from './node.ts';
import type { BindingRecord } from './records.ts';

export interface RendezvousSide {
  readonly binding: BindingRecord;
  /** Round trip of its session. */
  readonly rtt: Milliseconds;
}

export interface RendezvousPair {
  readonly asker: Rendezvous;
  readonly target: Rendezvous;
}

/** How long both ends try one kind of path: a handshake through two NATs takes one round trip. */
export const roundLength = milliseconds(300);

/** No slow node keeps another waiting for longer than half of this. */
const longestRtt = milliseconds(2000);

/** One kind of path: where each side is reached. */
interface Round {
  readonly asker: Endpoint;
  readonly target: Endpoint;
}

/**
 * When and where both ends start. Behind two NATs both at once, so that each has sent before the other's first packet meets its
 * NAT; else as soon as they can. Kinds of path in order: the LAN that both share, IPv6, IPv4 as hubs see it; the last once more, which heals a start that was late. No
 * rounds when nothing is known that both could use.
 */
export function rendezvous(asker: RendezvousSide, target: RendezvousSide): RendezvousPair {
  const rounds = [lan(asker, target), over(6, asker, target), over(4, asker, target)].filter(
    (one) => one !== undefined,
  );
  const last = rounds.at(-1);
  if (last) rounds.push(last);
  const timed = isBehindNat(asker.binding) && isBehindNat(target.binding);
  const way = (side: RendezvousSide): number => (timed ? Math.min(side.rtt, longestRtt) / 2 : 0);
  const latest = Math.max(way(asker), way(target));
  const start = (side: RendezvousSide): Milliseconds => milliseconds(Math.round(latest - way(side)));
  return {
    asker: { startAfter: start(asker), round: roundLength, rounds: rounds.map((one) => one.target) },
    target: { startAfter: start(target), round: roundLength, rounds: rounds.map((one) => one.asker) },
  };
}

/** Behind the same public IPv4 address: the pair of claimed endpoints whose addresses have most in common. */
function lan(asker: RendezvousSide, target: RendezvousSide): Round | undefined {
  const here = observed(asker, 4);
  const there = observed(target, 4);
  if (here === undefined || there === undefined || endpointAddress(here) !== endpointAddress(there)) return undefined;
  let best: (Round & { readonly distance: bigint }) | undefined;
  for (const a of claimed(asker, 4)) {
    for (const b of claimed(target, 4)) {
      const distance = addressValue(endpointAddress(a)) ^ addressValue(endpointAddress(b));
      if (!best || distance < best.distance) best = { asker: a, target: b, distance };
    }
  }
  return best && { asker: best.asker, target: best.target };
}

function over(family: 4 | 6, asker: RendezvousSide, target: RendezvousSide): Round | undefined {
  const here = observed(asker, family) ?? claimed(asker, family)[0];
  const there = observed(target, family) ?? claimed(target, family)[0];
  return here !== undefined && there !== undefined ? { asker: here, target: there } : undefined;
}

function observed(side: RendezvousSide, family: 4 | 6): Endpoint | undefined {
  return observedEndpoints(side.binding).find((endpoint) => endpointFamily(endpoint) === family);
}

function claimed(side: RendezvousSide, family: 4 | 6): Endpoint[] {
  const endpoints = multipointOf(side.binding)?.endpoints ?? [];
  return endpoints.filter((one) => endpointFamily(one) === family && isUsable(endpointAddress(one)));
}

const unusable = ['127.0.0.0/8', '169.254.0.0/16', '::1/128', 'fe80::/10'] as Prefix[];

function isUsable(address: Address): boolean {
  const host = hostPrefix(address);
  return !unusable.some((prefix) => familyOf(prefix) === familyOf(address) && containsPrefix(prefix, host));
}
