import { aggregate } from '#proto/model/aggregate.ts';
import type { Prefix } from '#proto/model/address.ts';
import { announcedBy } from './node.ts';
import { maySharePrefix } from './permit.ts';
import type { BindingRecord, NodeRecord } from './records.ts';

interface Known {
  readonly node: NodeRecord;
  readonly prefixes: readonly Prefix[];
}

const known = new WeakMap<BindingRecord, Known>();

/**
 * What may come from a node by a direct tunnel, in as few prefixes as say it: the other end's WireGuard has to know all of it,
 * whichever prefix was asked for. What the node shares with others stays as it is: there WireGuard gives a prefix to one of them.
 */
export function sendableBy(node: NodeRecord, binding: BindingRecord): readonly Prefix[] {
  const before = known.get(binding);
  if (before?.node === node) return before.prefixes;
  const announced = announcedBy(binding);
  const isShared = (prefix: Prefix): boolean => maySharePrefix(node, prefix);
  const prefixes = [...announced.filter(isShared), ...aggregate(announced.filter((prefix) => !isShared(prefix)))];
  known.set(binding, { node, prefixes });
  return prefixes;
}
