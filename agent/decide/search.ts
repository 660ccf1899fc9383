// The other end of a direct tunnel is at another place now. WireGuard follows the mover by itself as soon as a packet of it arrives;
// behind a NAT none does until something was sent to its new place. The session goes on there: only the endpoint changes.
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { Target } from '#proto/model/nhrp.ts';
import { after, milliseconds } from '#proto/model/time.ts';
import { note, type ObservedPeer, type Turn } from './event.ts';
import { type AgentState, multipointName, type Remote } from './state.ts';

/** Between looks at what arrives. */
const lookMs = 100;
/** Nothing has arrived for so many intervals of BFD: it does not come by this way any more. */
const silentIntervals = 1.5;

/** With what the registry says of the other end now: a look whether it still comes by the known way, if that is news. */
export function seek(state: AgentState, remote: Remote, endpoints: readonly Endpoint[], turn: Turn): Remote {
  const rounds = remote.target.rendezvous?.rounds ?? [];
  const places = placesOf(remote.target, endpoints);
  if (rounds.length === 0 || places.join() === remote.places.join()) return remote;
  look(state, turn);
  // Of a lost path it is known how long nothing has arrived.
  const { bytes, changedAt: since } = remote.reception ?? { bytes: undefined, changedAt: turn.now };
  const nextAt = after(turn.now, milliseconds(lookMs));
  return { ...remote, places, search: { rounds: [...new Set(rounds)], bytes, since, nextAt } };
}

export function placesOf({ rendezvous }: Target, endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return [...new Set([...(rendezvous?.rounds ?? []), ...endpoints])].sort();
}

/** Time to look again. */
export function tickSearch(state: AgentState, remote: Remote, turn: Turn): Remote {
  if (!remote.search || remote.search.nextAt > turn.now) return remote;
  look(state, turn);
  return { ...remote, search: { ...remote.search, nextAt: after(turn.now, milliseconds(lookMs)) } };
}

/** A look: what arrives ends the search, silence moves the peer to the next place. */
export function searched(state: AgentState, remote: Remote, seen: ObservedPeer, turn: Turn): Remote {
  const { search } = remote;
  if (!search) return remote;
  if (search.bytes === undefined) return { ...remote, search: { ...search, bytes: seen.rxBytes, since: turn.now } };
  if (seen.rxBytes > search.bytes) return { ...remote, search: undefined };
  if (turn.now - search.since < silentIntervals * (state.config?.bfdInterval ?? 0)) return remote;
  const [endpoint, ...rounds] = search.rounds;
  if (endpoint === undefined) return { ...remote, search: undefined };
  if (endpoint !== seen.endpoint) {
    const { node, name, publicKey } = remote.target;
    note(turn, 'direct path follows', { node: name, from: seen.endpoint, to: endpoint });
    turn.effects.push({ kind: 'move-peer', interface: multipointName(state.self), publicKey, endpoint });
    turn.effects.push({ kind: 'kick', path: `direct:${node}` });
  }
  return { ...remote, search: { ...search, rounds, bytes: seen.rxBytes, since: turn.now } };
}

function look(state: AgentState, turn: Turn): void {
  turn.effects.push({ kind: 'inspect-peers', interface: multipointName(state.self) });
}
