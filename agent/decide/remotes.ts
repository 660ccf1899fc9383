// Direct tunnels: from a rendezvous to BFD Up, through losses, to the end. One Remote is one other node.
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Target } from '#proto/model/nhrp.ts';
import { after, type Milliseconds, milliseconds } from '#proto/model/time.ts';
import { retryWait, roundAt } from './attempt.ts';
import { note, type ObservedPeer, type Turn, warn } from './event.ts';
import { greetReflectors } from './hub-paths.ts';
import { receive } from './reception.ts';
import { placesOf, searched, seek, tickSearch } from './search.ts';
import { type AgentState, type BfdState, multipointName, type Remote, withEntry, withoutEntry } from './state.ts';

/** Beyond the detection time: by then the other end has stopped sending by the direct path, whether it heard us or not. */
const closingMarginMs = 2000;
/** In recovering: how often the peer is looked at, and for how long it may be silent. */
const recoveryLookMs = 2000;
const recoveryMs = 15_000;
/** How long the route of an adopted path stays without BFD. */
const adoptionMs = 3000;
/** A path that was Up for this long starts with a clean slate. */
const stableMs = 60_000;

/** A binding of this node was learned: start the tunnel, unless there is one or its time has not come. */
export function meet(state: AgentState, target: Target, endpoints: readonly Endpoint[], turn: Turn): AgentState {
  const old = state.remotes.get(target.node);
  const sameKey = old?.target.publicKey === target.publicKey;
  if (old && sameKey) {
    if (old.phase === 'punching') return put(state, { ...old, target });
    const known = seek(state, { ...old, target }, endpoints, turn);
    if (old.phase === 'direct') return put(state, known);
    // Its tunnel works, only its agent is away: a new attempt would break what it still sends.
    if (old.phase === 'recovering' && !isSilent(old, 2 * recoveryLookMs, turn)) return put(state, known);
    if (old.phase === 'failed' && old.retryAt > turn.now && target.rendezvous === undefined) return state;
  }
  const { rendezvous } = target;
  if (!rendezvous || rendezvous.rounds.length === 0) {
    return fail(state, remoteOf(target, old, turn), 'no endpoint of the other end is known', turn);
  }
  const fresh = remoteOf(target, sameKey ? old : undefined, turn);
  note(turn, 'rendezvous', { node: target.name, startAfterMs: rendezvous.startAfter, rounds: rendezvous.rounds });
  return put(state, {
    ...fresh,
    places: placesOf(target, endpoints),
    phase: 'punching',
    since: turn.now,
    bfd: 'down',
    rendezvous: {
      startAt: after(turn.now, rendezvous.startAfter),
      begunAt: turn.now,
      spareUntil: (sameKey && old.phase === 'closing' && old.nextAt) || turn.now,
      round: rendezvous.round,
      rounds: rendezvous.rounds,
      // A peer that is there already, and silent, starts anew in the first round, too.
      next: old?.phase === 'recovering' ? 0 : 1,
    },
    nextAt: undefined,
    reason: undefined,
  });
}

export function directBfd(
  state: AgentState,
  node: NodeId,
  seen: { readonly state: BfdState; readonly remoteState: BfdState },
  turn: Turn,
): AgentState {
  const remote = state.remotes.get(node);
  if (!remote || remote.phase === 'failed' || remote.phase === 'closing') return state;
  if (seen.state === 'up') {
    if (remote.phase === 'direct' && remote.bfd === 'up') return state;
    note(turn, 'direct', { node: remote.target.name, tookMs: Math.round(turn.now - remote.since) });
    return put(state, {
      ...remote,
      phase: 'direct',
      since: turn.now,
      bfd: 'up',
      everUp: true,
      rendezvous: undefined,
      nextAt: undefined,
      reason: undefined,
    });
  }
  if (remote.phase !== 'direct' || remote.bfd !== 'up') return put(state, { ...remote, bfd: seen.state });
  if (seen.remoteState === 'admin-down') {
    note(turn, 'the other end closes the direct path', { node: remote.target.name });
    return close({ ...state, shortcuts: withoutShortcutsOf(state, node) }, remote, turn);
  }
  return recover(state, { ...remote, bfd: seen.state }, turn);
}

/** A direct path of before a restart: its route stays while its BFD session has a chance to come Up again. */
export function adopt(state: AgentState, target: Target, turn: Turn): AgentState {
  const adopted = remoteOf(target, undefined, turn);
  const nextAt = after(turn.now, milliseconds(adoptionMs));
  return put(state, { ...adopted, phase: 'direct', everUp: true, nextAt });
}

function recover(state: AgentState, remote: Remote, turn: Turn): AgentState {
  warn(turn, 'direct path lost', { node: remote.target.name });
  // It may be ourselves who are seen at another place now.
  if (![...state.remotes.values()].some(({ phase }) => phase === 'recovering')) greetReflectors(state, turn);
  turn.effects.push({ kind: 'inspect-peers', interface: multipointName(state.self) });
  const failures = turn.now - remote.since >= stableMs ? 0 : remote.failures;
  return put(state, {
    ...remote,
    failures,
    phase: 'recovering',
    since: turn.now,
    reception: undefined,
    nextAt: after(turn.now, milliseconds(recoveryLookMs)),
    retryAt: after(turn.now, retryWait(failures)),
    reason: 'direct path lost: no BFD packet arrives by it',
  });
}

/** Nothing needs the tunnel any more. */
export function retire(state: AgentState, node: NodeId, turn: Turn): AgentState {
  const remote = state.remotes.get(node);
  if (!remote) return state;
  if (remote.phase === 'failed') return { ...state, remotes: withoutEntry(state.remotes, node) };
  return remote.phase === 'closing' ? state : close(state, remote, turn);
}

/** Runs the rounds of rendezvous and the deadlines of the other phases. */
export function tickRemotes(state: AgentState, turn: Turn): AgentState {
  let next = state;
  for (const remote of state.remotes.values()) {
    const looked = tickSearch(state, remote, turn);
    if (looked !== remote) next = put(next, looked);
    else if (remote.phase === 'punching') next = punch(next, remote, turn);
    else if (remote.nextAt !== undefined && remote.nextAt <= turn.now) {
      if (remote.phase === 'direct') next = recover(next, remote, turn);
      if (remote.phase === 'closing') next = { ...next, remotes: withoutEntry(next.remotes, remote.target.node) };
      if (remote.phase === 'recovering') {
        turn.effects.push({ kind: 'inspect-peers', interface: multipointName(state.self) });
        next = put(next, { ...remote, nextAt: after(turn.now, milliseconds(recoveryLookMs)) });
      }
    }
  }
  return next;
}

/**
 * A look at the peers of the multipoint interface. While packets arrive from a peer its tunnel works, whatever BFD says (the
 * other agent may be away and its kernel still send this way): then the peer must stay as it is.
 */
export function inspectRemotes(state: AgentState, peers: ReadonlyMap<PublicKey, ObservedPeer>, turn: Turn): AgentState {
  let next = state;
  for (const remote of state.remotes.values()) {
    const seen = peers.get(remote.target.publicKey);
    if (!seen) continue;
    const found = searched(state, remote, seen, turn);
    if (found !== remote) next = put(next, found);
    if (remote.phase !== 'recovering') continue;
    const { reception } = receive(remote.reception, seen.rxBytes, turn.now);
    const looked = { ...found, reception };
    next = isSilent(looked, recoveryMs, turn)
      ? fail(next, looked, 'direct path lost and not come back', turn)
      : put(next, looked);
  }
  return next;
}

function punch(state: AgentState, remote: Remote, turn: Turn): AgentState {
  const progress = remote.rendezvous;
  if (!progress || roundAt(progress, progress.next) > turn.now) return state;
  // The other end was heard, and may already or still send by this path: wait for the third way of BFD's handshake instead.
  if (remote.bfd !== 'down' || progress.spareUntil > turn.now) {
    return put(state, { ...remote, rendezvous: { ...progress, startAt: after(progress.startAt, progress.round) } });
  }
  const endpoint = progress.rounds[progress.next];
  if (endpoint === undefined) {
    return fail(state, remote, `no packet came through from ${progress.rounds.join(', ')}`, turn);
  }
  const { node, publicKey } = remote.target;
  turn.effects.push({ kind: 'replace-peer', interface: multipointName(state.self), publicKey, endpoint });
  turn.effects.push({ kind: 'kick', path: `direct:${node}` });
  return put(state, { ...remote, rendezvous: { ...progress, begunAt: turn.now, next: progress.next + 1 } });
}

function fail(state: AgentState, remote: Remote, reason: string, turn: Turn): AgentState {
  const wait = retryWait(remote.failures);
  note(turn, 'no direct path', { node: remote.target.name, reason, retryAfterMs: wait });
  return put(state, {
    ...remote,
    phase: 'failed',
    since: turn.now,
    bfd: 'down',
    rendezvous: undefined,
    search: undefined,
    failures: remote.failures + 1,
    retryAt: after(turn.now, wait),
    nextAt: undefined,
    reason,
  });
}

function close(state: AgentState, remote: Remote, turn: Turn): AgentState {
  note(turn, 'direct path closed', { node: remote.target.name });
  return put(state, {
    ...remote,
    phase: 'closing',
    since: turn.now,
    bfd: 'admin-down',
    rendezvous: undefined,
    search: undefined,
    nextAt: after(turn.now, closingTime(state)),
    reason: undefined,
  });
}

/** Whether nothing has arrived from the peer for `span` milliseconds of looking. */
export function isSilent(remote: Remote, span: number, turn: Turn): boolean {
  return turn.now - Math.max(remote.reception?.changedAt ?? 0, remote.since) >= span;
}

function closingTime({ config }: AgentState): Milliseconds {
  return milliseconds(closingMarginMs + (config ? config.bfdInterval * config.bfdMultiplier : 0));
}

function remoteOf(target: Target, old: Remote | undefined, turn: Turn): Remote {
  return {
    target,
    phase: old?.phase ?? 'punching',
    since: turn.now,
    bfd: 'down',
    everUp: old?.everUp ?? false,
    rendezvous: undefined,
    failures: old?.failures ?? 0,
    retryAt: turn.now,
    nextAt: undefined,
    reception: undefined,
    places: old?.places ?? [],
    search: undefined,
    reason: undefined,
  };
}

function put(state: AgentState, remote: Remote): AgentState {
  return { ...state, remotes: withEntry(state.remotes, remote.target.node, remote) };
}

function withoutShortcutsOf(state: AgentState, node: NodeId): AgentState['shortcuts'] {
  return new Map([...state.shortcuts].filter(([, shortcut]) => shortcut.node !== node));
}
