import { fail, ok, type Result } from '#proto/model/result.ts';
import { transaction } from './node.ts';
import type { NodeRecord } from './records.ts';
import { findNode } from './removal.ts';
import type { HubChange } from './set-hub.ts';
import type { Snapshot } from './state.ts';

/** Spokes leave a hub, or may come back to it. Faults: node-unknown, not-a-hub. */
export function drainHub(snapshot: Snapshot, hub: string, draining: boolean): Result<HubChange> {
  const found = findNode(snapshot, hub);
  if (!found.ok) return found;
  const old = found.value;
  if (old.role !== 'hub') return fail('not-a-hub', `${old.name} is a spoke: see dmwg show hubs`);
  if (old.draining === draining) return ok({ node: old, transaction: undefined });
  const node: NodeRecord = { ...old, draining };
  const unchanged = [{ kind: 'node', id: old.id }] as const;
  return ok({ node, transaction: transaction({ unchanged, put: [{ kind: 'node', record: node }] }) });
}

/** The names of the spokes with an open session that have a tunnel to the hub, sorted: each takes it out when it has left. */
export function spokesOf(snapshot: Snapshot, hub: NodeRecord): string[] {
  const names: string[] = [];
  for (const binding of snapshot.bindings.values()) {
    const node = snapshot.nodes.get(binding.node);
    if (node?.role !== 'spoke' || binding.lostAt !== undefined) continue;
    if (binding.interfaces.some(({ kind, hub: to }) => kind === 'hub-tunnel' && to === hub.id)) names.push(node.name);
  }
  return names.sort();
}
