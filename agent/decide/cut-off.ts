// A router of a site with a second one must not draw the LAN's traffic into tunnels that lead nowhere: when no hub answers, its
// routes of the overlay go, so that the LAN's routing protocol turns to the other one. Elsewhere they stay, as all else would leave
// unencrypted. BFD Down alone says nothing: of a hub whose agent is away something still arrives.
import { after, type Instant, milliseconds } from '#proto/model/time.ts';
import { note, type Turn, warn } from './event.ts';
import type { AgentState, HubPath } from './state.ts';

/** So long nothing arrives from any hub, after BFD has said that it is Down. */
const silence = milliseconds(2000);

export function tickCutOff(state: AgentState, turn: Turn): AgentState {
  const moment = cutOffAt(state);
  const cutOff = moment !== undefined && moment <= turn.now;
  if (cutOff === state.routing.cutOff) return state;
  if (cutOff)
    warn(turn, 'cut off from all hubs: the routes of the overlay are left to the other routers of the site', {});
  else note(turn, 'a hub answers again: the routes of the overlay are back', {});
  return { ...state, routing: { ...state.routing, cutOff } };
}

/** From when on the node counts as cut off, unless something arrives before; undefined while it does not. */
export function cutOffAt({ self, hubs, remotes }: AgentState): Instant | undefined {
  if (self.role !== 'spoke' || self.routing.site.length === 0) return undefined;
  const open = [...hubs.values()].filter(({ place, hub }) => place !== 'none' && hub.publicKey !== undefined);
  const alive = open.some(({ bfd }) => bfd === 'up') || [...remotes.values()].some(({ phase }) => phase === 'direct');
  if (alive || open.length === 0 || open.some(({ reception }) => reception === undefined)) return undefined;
  return after(Math.max(...open.map(lastHeard)) as Instant, silence);
}

function lastHeard({ since, reception }: HubPath): Instant {
  return Math.max(since, reception?.changedAt ?? since) as Instant;
}
