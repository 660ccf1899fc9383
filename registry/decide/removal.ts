import { hostPrefix, type Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { addressesOf, transaction } from './node.ts';
import type { BindingRecord, NodeRecord, RevocationReason, RevocationRecord } from './records.ts';
import type { Key, Snapshot, Transaction } from './state.ts';

export interface Removal {
  readonly node: NodeRecord;
  readonly transaction: Transaction;
}

/**
 * Takes a node and everything of it away, and writes that it is shut out: its certificate is worthless from then on. Fault:
 * node-unknown.
 */
export function removeNode(snapshot: Snapshot, id: NodeId, reason: RevocationReason, at: Timestamp): Result<Removal> {
  const node = snapshot.nodes.get(id);
  if (!node) return fail('node-unknown', `there is no node ${id}`);
  const claims: Key[] = [
    { kind: 'claim-name', name: node.name },
    ...addressesOf(node).map((address) => ({ kind: 'claim-address', address }) as const),
    ...node.prefixes.map((prefix) => ({ kind: 'claim-prefix', prefix }) as const),
  ];
  const binding = snapshot.bindings.get(id);
  return ok({
    node,
    transaction: transaction({
      unchanged: [
        { kind: 'node', id },
        { kind: 'binding', id },
      ],
      put: [{ kind: 'revocation', record: revocation(node, reason, at) }],
      delete: [
        { kind: 'node', id },
        { kind: 'session', id },
        ...claims,
        { kind: 'binding', id },
        ...(binding ? keyClaims(binding) : []),
      ],
    }),
  });
}

function revocation(node: NodeRecord, reason: RevocationReason, at: Timestamp): RevocationRecord {
  const { id, name, address, address6, prefixes } = node;
  return { node: id, name, at, reason, address, address6, prefixes };
}

/** What led to a node that is shut out. */
export function ledTo({ address, address6, prefixes }: RevocationRecord): Prefix[] {
  const addresses = [address, address6].filter((one) => one !== undefined);
  return [...addresses.map(hostPrefix), ...prefixes];
}

/** Takes away what a node registered; the node stays enrolled. */
export function removeBinding(binding: BindingRecord): Transaction {
  const key: Key = { kind: 'binding', id: binding.node };
  return transaction({ unchanged: [key], delete: [key, ...keyClaims(binding)] });
}

/** A node by id, else by name. Fault: node-unknown. */
export function findNode(snapshot: Snapshot, text: string): Result<NodeRecord> {
  const byId = snapshot.nodes.get(text as NodeId);
  if (byId) return ok(byId);
  for (const node of snapshot.nodes.values()) if (node.name === text) return ok(node);
  return fail('node-unknown', `there is no node "${text.slice(0, 64)}": see dmwg show nodes`);
}

function keyClaims(binding: BindingRecord): Key[] {
  return binding.interfaces.map((one) => ({ kind: 'claim-key', publicKey: one.publicKey }));
}
