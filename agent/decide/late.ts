// On a slow machine a pass over the host takes longer than a round of rendezvous.
import { after, type Instant, milliseconds } from '#proto/model/time.ts';
import { type AgentState, withEntry } from './state.ts';

/** A pass over the host, with the decisions before it. */
export interface Pass {
  readonly began: Instant;
  readonly decided: Instant;
}

/**
 * What was decided is on the host only `now`. A round counts from when its packet can be sent: those that this pass carried out
 * are put off by as much.
 */
export function putOff(state: AgentState, { began, decided }: Pass, now: Instant): AgentState {
  let next = state;
  for (const [node, remote] of state.remotes) {
    const { rendezvous } = remote;
    if (!rendezvous || rendezvous.begunAt < began) continue;
    const late = milliseconds(Math.max(0, now - Math.max(decided, rendezvous.startAt)));
    const startAt = after(rendezvous.startAt, late);
    next = { ...next, remotes: withEntry(next.remotes, node, { ...remote, rendezvous: { ...rendezvous, startAt } }) };
  }
  return next;
}
