// What one pass over the host is about, besides the plain difference.
import type { Change } from './change.ts';
import type { Effect } from './event.ts';
import type { HostState } from './host.ts';
import type { AgentState } from './state.ts';

/** Whether the desired host of both states is the same for certain. */
export function sameInputs(a: AgentState, b: AgentState): boolean {
  return (
    a.revoked === b.revoked &&
    a.config === b.config &&
    a.interfaces === b.interfaces &&
    a.hubs === b.hubs &&
    a.activeHub === b.activeHub &&
    a.shortcuts === b.shortcuts &&
    a.remotes === b.remotes &&
    a.hub.peers === b.hub.peers
  );
}

/** A hub that has not been told its peers yet leaves those that are there. */
export function isSafe(state: AgentState, change: Change): boolean {
  return !(
    change.kind === 'remove-peer' &&
    state.self.role === 'hub' &&
    state.hub.peers === undefined &&
    !state.revoked
  );
}

/** The peers that are to be made anew; one that is not there yet is added by the diff. */
export function replacements(desired: HostState, picture: HostState, effects: readonly Effect[]): Change[] {
  const changes: Change[] = [];
  for (const effect of effects) {
    if (effect.kind !== 'replace-peer') continue;
    const peer = desired.interfaces.get(effect.interface)?.peers.get(effect.publicKey);
    if (!peer || !picture.interfaces.get(effect.interface)?.peers.has(effect.publicKey)) continue;
    changes.push({ kind: 'replace-peer', interface: effect.interface, peer: { ...peer, endpoint: effect.endpoint } });
  }
  return changes;
}
