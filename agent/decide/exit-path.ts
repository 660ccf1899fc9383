// A chosen exit that is a spoke is reached by a direct tunnel, which is sought by itself and kept: hubs pass on to their best exit
// alone, and no traffic tells of another one.
import { hostPrefix } from '#proto/model/address.ts';
import type { Instant } from '#proto/model/time.ts';
import type { Turn } from './event.ts';
import { exitsOf } from './exit.ts';
import { ask } from './resolution.ts';
import type { AgentState } from './state.ts';

/** Asks for the exit if there is no tunnel to it, nor one on its way, and its time has come. */
export function tickExit(state: AgentState, turn: Turn): AgentState {
  const wanted = wantedAt(state);
  const origin = wanted !== undefined && wanted <= turn.now ? chosen(state) : undefined;
  if (!origin?.address || !state.config) return state;
  return ask(state, { source: state.config.address, destination: origin.address }, turn);
}

/** When to ask for the exit next; undefined while there is nothing to ask. */
export function wantedAt(state: AgentState): Instant | undefined {
  const origin = chosen(state);
  if (!origin?.address || state.hubs.has(origin.node) || state.connectedTo === undefined) return undefined;
  if (state.config === undefined || state.config.phase === 1 || state.resolutions.has(origin.address)) return undefined;
  const remote = state.remotes.get(origin.node);
  const known = state.shortcuts.get(hostPrefix(origin.address))?.node === origin.node;
  if (known && remote && remote.phase !== 'failed') return undefined;
  return remote?.phase === 'failed' ? remote.retryAt : (0 as Instant);
}

function chosen({ self, learned }: AgentState): ReturnType<typeof exitsOf>[number] | undefined {
  const { exit } = self;
  if (!exit || self.role !== 'spoke') return undefined;
  return ([4, 6] as const).flatMap((family) => exitsOf(learned, family)).find(({ name }) => name === exit.via);
}
