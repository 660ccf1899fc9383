import type { NodeId } from '#proto/model/names.ts';
import type { Seconds, Timestamp } from '#proto/model/time.ts';
import { remaining, transaction } from './node.ts';
import type { BindingRecord } from './records.ts';
import { removeBinding } from './removal.ts';
import type { Key, Snapshot, Transaction } from './state.ts';

export interface Expiry {
  readonly node: NodeId;
  readonly transaction: Transaction;
}

/** One replica does the sweeping: the one with the lowest id. */
export function sweeps(snapshot: Snapshot, replica: string): boolean {
  for (const id of snapshot.replicas.keys()) if (id < replica) return false;
  return true;
}

/**
 * Bindings whose holding time is over. A hub's stay, as nothing answers from them any more, but its key is what its spokes
 * need to keep their tunnels: a hub goes on forwarding without its agent.
 */
export function expired(snapshot: Snapshot, now: Timestamp): Expiry[] {
  return [...snapshot.bindings.values()]
    .filter((binding) => remaining(binding, now) <= 0 && snapshot.nodes.get(binding.node)?.role !== 'hub')
    .map((binding) => ({ node: binding.node, transaction: removeBinding(binding) }));
}

/** Seconds that a revocation outlives the last certificate that its node can have: clocks differ. */
const revocationMargin = 10 * 86_400;
/** Well below what one transaction may hold. */
const mostForgotten = 50;

/** Revocations that no certificate needs any more, and orders to forget what is over. `validity` is the longest of a node's certificate. */
export function forgettable(snapshot: Snapshot, now: Timestamp, validity: Seconds): Transaction[] {
  const kept = (validity + revocationMargin) * 1000;
  const revoked = [...snapshot.revoked.values()].filter((revocation) => revocation.at + kept < now);
  const clears = [...snapshot.clears.values()].filter(({ until }) => until < now);
  const keys: Key[] = [
    ...revoked.map(({ node }) => ({ kind: 'revocation', id: node }) as const),
    ...clears.map(({ id }) => ({ kind: 'clear', id }) as const),
  ];
  const batches = Math.ceil(keys.length / mostForgotten);
  return Array.from({ length: batches }, (_, index) => {
    const batch = keys.slice(index * mostForgotten, (index + 1) * mostForgotten);
    return transaction({ unchanged: batch, delete: batch });
  });
}

/** Nodes whose binding counts as held although no running replica has their session. */
export function unheld(snapshot: Snapshot): NodeId[] {
  return [...snapshot.bindings.values()]
    .filter((binding) => binding.lostAt === undefined && !isHeld(snapshot, binding.node))
    .map((binding) => binding.node);
}

export function isHeld(snapshot: Snapshot, node: NodeId): boolean {
  const session = snapshot.sessions.get(node);
  return session !== undefined && snapshot.replicas.has(session.replica);
}

/** From `lostAt` on the holding time counts. Undefined when there is nothing to say any more. */
export function lose(snapshot: Snapshot, node: NodeId, lostAt: Timestamp): Transaction | undefined {
  const binding = snapshot.bindings.get(node);
  if (!binding || binding.lostAt !== undefined || isHeld(snapshot, node)) return undefined;
  return transaction({
    unchanged: [
      { kind: 'binding', id: node },
      { kind: 'session', id: node },
    ],
    put: [{ kind: 'binding', record: { ...binding, lostAt } }],
  });
}

/** The same binding, held again. */
export function revival(binding: BindingRecord, agentVersion: string): BindingRecord {
  return { ...binding, agentVersion, lostAt: undefined };
}

/** For a node that registered again what it had. Undefined when there is nothing to say any more. */
export function revive(snapshot: Snapshot, node: NodeId, agentVersion: string): Transaction | undefined {
  const binding = snapshot.bindings.get(node);
  if (!binding || (binding.lostAt === undefined && binding.agentVersion === agentVersion)) return undefined;
  const record = revival(binding, agentVersion);
  return transaction({ unchanged: [{ kind: 'binding', id: node }], put: [{ kind: 'binding', record }] });
}
