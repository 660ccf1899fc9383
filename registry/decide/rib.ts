// The routing information base: which node an address leads to, of all that announce something around it.
import type { Address } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { compareContenders, select, type Selection, shareOf } from '#proto/model/selection.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { liveBinding } from './node.ts';
import type { Candidate, Route } from './route-table.ts';
import type { Snapshot } from './state.ts';

/** For whom and when. */
export interface View {
  readonly now: Timestamp;
  /** Equally good nodes are shared among the askers. */
  readonly asker?: NodeId | undefined;
}

/** A candidate with how well it can be reached. */
export interface Ranked extends Candidate {
  readonly standing: number;
}

/** Its session is open; it ended, and the holding time is not over; nothing answers from it any more. */
export const standings = { connected: 2, lost: 1, gone: 0 } as const;

export function rank(snapshot: Snapshot, candidates: readonly Candidate[], now: Timestamp): Selection<Ranked> {
  return select(ranked(snapshot, candidates, now));
}

/** All of them, the best first, with those from which nothing answers at the end. */
export function ranked(snapshot: Snapshot, candidates: readonly Candidate[], now: Timestamp): Ranked[] {
  return candidates.map((one) => ({ ...one, standing: standingOf(snapshot, one, now) })).sort(compareContenders);
}

function standingOf(snapshot: Snapshot, { node, lost }: Candidate, now: Timestamp): number {
  if (!lost) return standings.connected;
  return liveBinding(snapshot, node, now) ? standings.lost : standings.gone;
}

/** The node behind one route; undefined if nobody is there. */
export function chosenOf(snapshot: Snapshot, route: Route, view: View): NodeId | undefined {
  const only = route.candidates.length === 1 ? route.candidates[0] : undefined;
  if (only) return standingOf(snapshot, only, view.now) === standings.gone ? undefined : only.node;
  return shareOf(view.asker ?? '', rank(snapshot, route.candidates, view.now).best)?.node;
}

/** A route with the node that it leads to. */
export interface Chosen {
  readonly route: Route;
  readonly node: NodeId;
}

/** The longest prefix around an address that leads to somebody, and that node. */
export function routeTo(snapshot: Snapshot, address: Address, view: View): Chosen | undefined {
  const covering = snapshot.routes.covering(address);
  for (let index = covering.length - 1; index >= 0; index--) {
    const route = covering[index];
    const node = route && chosenOf(snapshot, route, view);
    if (route && node !== undefined) return { route, node };
  }
  return undefined;
}
