import { fail, ok, type Result } from '#proto/model/result.ts';
import { transaction } from './node.ts';
import type { NodeRecord } from './records.ts';
import { findNode } from './removal.ts';
import type { Snapshot, Transaction } from './state.ts';

export interface HubChange {
  readonly node: NodeRecord;
  /** Undefined: it is so already. */
  readonly transaction: Transaction | undefined;
}

/** How spokes choose among hubs. Faults: node-unknown, not-a-hub, unknown-setting, bad-number. */
export function setHub(snapshot: Snapshot, hub: string, key: string, text: string): Result<HubChange> {
  const found = findNode(snapshot, hub);
  if (!found.ok) return found;
  const old = found.value;
  if (old.role !== 'hub') return fail('not-a-hub', `${old.name} is a spoke: see dmwg show hubs`);
  if (key !== 'priority' && key !== 'cluster') {
    return fail('unknown-setting', `"${key.slice(0, 64)}" is not a setting of a hub: use priority or cluster`);
  }
  const value = Number(text);
  if (!/^\d{1,3}$/.test(text) || value > 255) {
    return fail('bad-number', `${key}: "${text.slice(0, 64)}" is not a whole number from 0 to 255`);
  }
  if (old[key] === value) return ok({ node: old, transaction: undefined });
  const node: NodeRecord = { ...old, [key]: value };
  const unchanged = [{ kind: 'node', id: old.id }] as const;
  return ok({ node, transaction: transaction({ unchanged, put: [{ kind: 'node', record: node }] }) });
}
