import { type Address, type Prefix } from '#proto/model/address.ts';
import { seconds, type Timestamp, toMilliseconds } from '#proto/model/time.ts';
import { reachableBy, transaction } from './node.ts';
import { everything } from './purge.ts';
import type { ClearRecord } from './records.ts';
import type { Key, Snapshot, Transaction } from './state.ts';

/** Orders that are kept apart; with more they become one to forget everything. */
const mostClears = 32;

export interface Clearance {
  /** Bindings that the nodes are to forget. */
  readonly cleared: number;
  readonly transaction: Transaction | undefined;
}

/**
 * The operator's order to forget what leads to the node behind `address`, or everything. What the nodes registered stays. A
 * record, as nodes that are away now are told when they are back.
 */
export function clear(
  snapshot: Snapshot,
  address: Address | 'all',
  { id, now }: { readonly id: string; readonly now: Timestamp },
): Clearance {
  const targets = address === 'all' ? [] : (snapshot.routes.covering(address).at(-1)?.candidates ?? []);
  const all = address === 'all';
  const prefixes: Prefix[] = [];
  for (const binding of snapshot.bindings.values()) {
    const node = snapshot.nodes.get(binding.node);
    if (node && (all || targets.some((one) => one.node === node.id))) prefixes.push(...reachableBy(node, binding));
  }
  if (prefixes.length === 0) return { cleared: 0, transaction: undefined };
  const merged = snapshot.clears.size >= mostClears;
  const record: ClearRecord = {
    id,
    classes: address === 'all' || merged ? everything : prefixes,
    after: Number(snapshot.revision),
    until: (now + toMilliseconds(snapshot.overlay?.holdingTime ?? seconds(0))) as Timestamp,
  };
  const older: Key[] = merged ? [...snapshot.clears.keys()].map((one) => ({ kind: 'clear', id: one })) : [];
  return {
    cleared: prefixes.length,
    transaction: transaction({ absent: [{ kind: 'clear', id }], put: [{ kind: 'clear', record }], delete: older }),
  };
}
