import type { NodeId } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { NodeRecord } from './records.ts';
import type { Snapshot } from './state.ts';

/**
 * The node that a certificate names. A node that is told "revoked" takes its tunnels down, so that is said only of one whose
 * revocation is on record: a node that is missing without it is a registry that lost its data. Faults: no-overlay, revoked,
 * unknown-node.
 */
export function admit(snapshot: Snapshot, id: NodeId): Result<NodeRecord> {
  const ready = requireOverlay(snapshot);
  if (!ready.ok) return ready;
  const revocation = snapshot.revoked.get(id);
  if (revocation) {
    const what = revocation.reason === 'left' ? 'has left' : 'was revoked';
    return fail('revoked', `node ${revocation.name} (${id}) ${what}: join again with a new token`);
  }
  const node = snapshot.nodes.get(id);
  if (node) return ok(node);
  const why = 'its data may have been lost or restored';
  const help = "restore the registry's data, or join again with a new token";
  return fail('unknown-node', `this registry does not know node ${id}: ${why}; ${help}`);
}

/** Without the overlay's record nothing else that is missing means anything. Fault: no-overlay. */
export function requireOverlay(snapshot: Snapshot): Result<void> {
  if (snapshot.overlay) return ok(undefined);
  const help = 'restore the data of etcd, or start the registry again to begin with an empty overlay';
  return fail('no-overlay', `the registry has no data of the overlay: ${help}`);
}
