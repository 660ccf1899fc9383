import type { ServerUnaryCall } from '@grpc/grpc-js';
import { parseIdentity } from '#proto/kit/certificate.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
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

/** The certificate was checked against the CA by TLS; a node must be known besides. Faults: bad-identity, revoked. */
export function byCertificate(overlay: string, snapshot: () => Snapshot): Authenticate {
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
    const node = snapshot().nodes.get(found.id);
    if (!node) return fail('revoked', `node ${found.id} was revoked or has left: join again with a new token`);
    return ok({ kind: 'node', node });
  };
}
