import type { NodeId } from '#proto/model/names.ts';
import { sameValue } from './equal.ts';
import { transaction } from './node.ts';
import type { ReplicaRecord } from './records.ts';
import type { Snapshot, Transaction } from './state.ts';

/** A session that is open at this replica. */
export interface OpenSession {
  readonly node: NodeId;
  /** Its record was written since it opened. */
  readonly recorded: boolean;
}

export interface SessionClaims {
  /** To commit, and then to mark `recording` as recorded. */
  readonly transactions: readonly { readonly recording: readonly NodeId[]; readonly transaction: Transaction }[];
  /** A newer session at another replica took over. */
  readonly replaced: readonly NodeId[];
}

/** Less than etcd's limit of operations in one transaction. */
const batch = 64;

/**
 * The difference between the sessions that are open here and their records. The newest session of a node wins: opening one
 * writes its record whatever stands there, and whoever sees its own record overwritten gives up. A record that went with a
 * lease is written again.
 */
export function claimSessions(
  snapshot: Snapshot,
  self: ReplicaRecord,
  open: ReadonlyMap<NodeId, OpenSession>,
): SessionClaims {
  const record: NodeId[] = [];
  const replaced: NodeId[] = [];
  for (const session of open.values()) {
    const holder = snapshot.sessions.get(session.node)?.replica;
    if (!session.recorded || holder === undefined) record.push(session.node);
    else if (holder !== self.id) replaced.push(session.node);
  }
  const remove = [...snapshot.sessions.values()].filter((one) => one.replica === self.id && !open.has(one.node));
  const transactions = chunks(record).map((nodes) => ({
    recording: nodes,
    transaction: transaction({
      put: nodes.map((node) => ({ kind: 'session', record: { node, replica: self.id } }) as const),
    }),
  }));
  const removals = remove.map(({ node }) => {
    const key = { kind: 'session', id: node } as const;
    return { recording: [], transaction: transaction({ unchanged: [key], delete: [key] }) };
  });
  const known = snapshot.replicas.get(self.id);
  // Whether it is drained is the operator's word.
  const announce = sameValue(known, { ...self, draining: known?.draining })
    ? []
    : [{ recording: [], transaction: transaction({ put: [{ kind: 'replica', record: self }] }) }];
  return { transactions: [...announce, ...transactions, ...removals], replaced };
}

function chunks(nodes: readonly NodeId[]): NodeId[][] {
  const parts: NodeId[][] = [];
  for (let start = 0; start < nodes.length; start += batch) parts.push(nodes.slice(start, start + batch));
  return parts;
}
