import type { ServerUnaryCall } from '@grpc/grpc-js';
import { parseIdentity } from '#proto/kit/certificate.ts';
import type { NodeId } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { admit, requireOverlay } from '#registry/decide/admit.ts';
import type { NodeRecord } from '#registry/decide/records.ts';
import type { Snapshot } from '#registry/decide/state.ts';

/** Who calls. "admin" also is whoever may open the unix socket; "anyone" has no certificate of this overlay's CA. */
export type Caller =
  | { readonly kind: 'admin'; readonly name: string }
  | { readonly kind: 'node'; readonly node: NodeRecord }
  | { readonly kind: 'registry'; readonly name: string }
  | { readonly kind: 'anyone' };

export type CallerKind = Caller['kind'];

/** What every kind of call on a connection tells of its other end. */
export type Call = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext'>;

export type Authenticate = (call: Call) => Result<Caller>;

export const trustSocket: Authenticate = () => ok({ kind: 'admin', name: 'socket' });

/**
 * The certificate was checked against the CA by TLS; a node must be known besides. Faults: bad-identity, and those of admit.
 * `onUnknown` hears of a node that the registry should know.
 */
export function byCertificate(
  overlay: string,
  snapshot: () => Snapshot,
  onUnknown: (node: NodeId, message: string) => void,
): Authenticate {
  return (call) => {
    const der = call.getAuthContext().sslPeerCertificate?.raw;
    if (!der) return ok({ kind: 'anyone' });
    const identity = parseIdentity(der);
    if (!identity.ok) return fail('bad-identity', identity.fault.message);
    const found = identity.value;
    if (found.overlay !== overlay) {
      return fail('bad-identity', `the certificate is for overlay ${found.overlay}; this is ${overlay}`);
    }
    if (found.kind !== 'node') return ok({ kind: found.kind, name: found.name });
    const node = admit(snapshot(), found.id);
    if (node.ok) return ok({ kind: 'node', node: node.value });
    if (node.fault.code === 'unknown-node') onUnknown(found.id, node.fault.message);
    return node;
  };
}

/** Nothing is answered out of a store that lost its data: what is missing there would look as if it had been taken away. */
export function onceReady(authenticate: Authenticate, snapshot: () => Snapshot): Authenticate {
  return (call) => {
    const ready = requireOverlay(snapshot());
    return ready.ok ? authenticate(call) : ready;
  };
}
