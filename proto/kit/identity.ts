// Who the holder of a certificate is: the URI in its subject alternative name.
import { type NodeId, parseNodeId, parseNodeName, parseOverlayName } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';

export type Identity =
  | { readonly kind: 'node'; readonly overlay: string; readonly id: NodeId }
  | { readonly kind: 'admin' | 'registry'; readonly overlay: string; readonly name: string };

/** "dmwg://OVERLAY/node/ID", "dmwg://OVERLAY/admin/NAME" or "dmwg://OVERLAY/registry/NAME". */
export function identityUri(identity: Identity): string {
  return `dmwg://${identity.overlay}/${identity.kind}/${identity.kind === 'node' ? identity.id : identity.name}`;
}

/** Faults: "bad-identity". */
export function parseIdentityUri(uri: string): Result<Identity> {
  const [, overlay = '', kind = '', name = ''] =
    /^dmwg:\/\/([^/]{1,63})\/(node|admin|registry)\/([^/]{1,63})$/.exec(uri) ?? [];
  const bad = fail('bad-identity', `"${uri.slice(0, 128)}" is not an identity such as dmwg://overlay/node/id`);
  if (!parseOverlayName(overlay).ok) return bad;
  if (kind === 'node') {
    const id = parseNodeId(name);
    return id.ok ? ok({ kind, overlay, id: id.value }) : bad;
  }
  if (kind !== 'admin' && kind !== 'registry') return bad;
  return parseNodeName(name).ok ? ok({ kind, overlay, name }) : bad;
}
