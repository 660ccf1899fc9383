import type { Instant } from '#proto/model/time.ts';
import { roundAt } from './attempt.ts';
import { cutOffAt } from './cut-off.ts';
import { wantedAt } from './exit-path.ts';
import { isRefreshed } from './resolution.ts';
import type { AgentState } from './state.ts';

/** The next moment at which a tick has something to do; undefined if only events can change anything. */
export function nextWake(state: AgentState, now: Instant): Instant | undefined {
  const moments: (number | undefined)[] = [
    state.nextActivityAt,
    state.hub.observeAt,
    state.hub.chooseAt,
    state.hub.beyondOf.length === 0 ? state.hub.settledAt : undefined,
    state.hubChoiceAt,
    state.routing.nextAt,
    state.uplinks.nextAt,
    wantedAt(state),
    state.routing.cutOff ? undefined : cutOffAt(state),
  ];
  if (state.connectedTo !== undefined) moments.push(state.registration.nextAt);
  for (const path of state.hubs.values()) moments.push(path.repairAt);
  for (const entry of state.resolutions.values()) moments.push(entry.negativeUntil ?? entry.nextAt);
  for (const remote of state.remotes.values()) {
    moments.push(remote.nextAt, remote.search?.nextAt);
    // The moment it starts is one too: its BFD session begins then.
    const { rendezvous } = remote;
    if (rendezvous && rendezvous.startAt > now) moments.push(rendezvous.startAt);
    if (rendezvous) moments.push(roundAt(rendezvous, rendezvous.next));
  }
  if (state.connectedTo !== undefined) {
    for (const shortcut of state.shortcuts.values()) {
      moments.push(shortcut.expiresAt);
      if (isRefreshed(state, shortcut)) moments.push(shortcut.refreshAt);
    }
  }
  const known = moments.filter((moment): moment is number => moment !== undefined);
  return known.length === 0 ? undefined : (Math.min(...known) as Instant);
}
