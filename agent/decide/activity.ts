// Shortcuts that nothing uses go: the kernel keeps the remote addresses seen within the idle timeout, the agent reads them
// now and then.
import type { Address, Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { PrefixTable } from '#proto/model/prefix-table.ts';
import { after, milliseconds, toMilliseconds } from '#proto/model/time.ts';
import type { Turn } from './event.ts';
import { dropShortcuts } from './shortcuts.ts';
import { avoided } from './quality.ts';
import type { AgentState } from './state.ts';

/** Idle timeouts that a direct path is kept which is avoided for now. */
const avoidedPatience = 10;

export function tickActivity(state: AgentState, turn: Turn): AgentState {
  const { config } = state;
  if (!config || ![...state.remotes.values()].some((remote) => remote.phase === 'direct')) {
    return state.nextActivityAt === undefined ? state : { ...state, nextActivityAt: undefined };
  }
  const period = milliseconds(Math.max(1000, toMilliseconds(config.idleTimeout) / 4));
  if (state.nextActivityAt === undefined) return { ...state, nextActivityAt: after(turn.now, period) };
  if (state.nextActivityAt > turn.now) return state;
  turn.effects.push({ kind: 'inspect-activity' });
  return { ...state, nextActivityAt: after(turn.now, period) };
}

/** Marks what was used; removes shortcuts that were idle for the whole timeout while they could have been used. */
export function sawActivity(state: AgentState, addresses: readonly Address[], turn: Turn): AgentState {
  const { config } = state;
  if (!config) return state;
  const table = new PrefixTable([...state.shortcuts.keys()].map((prefix) => [prefix, prefix] as const));
  const used = new Set<Prefix>();
  for (const address of addresses) {
    const match = table.match(address);
    if (match) used.add(match.prefix);
  }
  // The way to the exit is kept.
  for (const { prefix, node } of state.shortcuts.values()) if (isExitNode(state, node)) used.add(prefix);
  const shortcuts = new Map(state.shortcuts);
  const idle: Prefix[] = [];
  for (const [prefix, shortcut] of state.shortcuts) {
    const remote = state.remotes.get(shortcut.node);
    if (used.has(prefix)) shortcuts.set(prefix, { ...shortcut, usedAt: turn.now });
    else if (remote?.phase === 'direct') {
      const since = Math.max(shortcut.usedAt, remote.since);
      // What goes by the hub instead is not seen here: a path that is made anew would have to be judged anew.
      const patience = avoided(state, shortcut.node) === undefined ? 1 : avoidedPatience;
      if (turn.now - since >= toMilliseconds(config.idleTimeout) * patience) idle.push(prefix);
    }
  }
  return dropShortcuts({ ...state, shortcuts }, idle, turn);
}

function isExitNode({ remotes, self }: AgentState, node: NodeId): boolean {
  return self.exit !== undefined && remotes.get(node)?.target.name === self.exit.via;
}
