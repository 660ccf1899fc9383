import { isIP } from 'node:net';
import { ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { derOf, parseIdentity } from './certificate.ts';
import type { Secret } from './secret.ts';

/** A client certificate of an overlay, with its key and the overlay's CA. All PEM. */
export interface ClientIdentity {
  readonly ca: string;
  readonly certificate: string;
  readonly key: Secret;
}

/**
 * Mutual TLS with a registry. What counts is that the certificate is of a registry of the same overlay: a registry keeps
 * its identity under every name and address, and no other certificate of the overlay can pass for it. Throws if a PEM is none.
 */
export function registryCredentials(identity: ClientIdentity): ChannelCredentials {
  const own = parseIdentity(derOf(identity.certificate));
  const overlay = own.ok ? own.value.overlay : undefined;
  const [ca, key, certificate] = [identity.ca, identity.key.reveal(), identity.certificate].map((pem) =>
    Buffer.from(pem),
  );
  return ChannelCredentials.createSsl(ca, key, certificate, {
    checkServerIdentity: (_host, presented) => {
      const peer = parseIdentity(presented.raw);
      if (peer.ok && peer.value.kind === 'registry' && peer.value.overlay === overlay) return undefined;
      return new Error('the certificate presented is not that of a registry of this overlay');
    },
  });
}

/**
 * Channel options for a registry at this host:port. TLS names no address as its server (RFC 6066 section 3), and Node warns
 * when it is made to; the name that stands in for one is never compared.
 */
export function registryChannelOptions(endpoint: string): ChannelOptions {
  const host = endpoint.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  const named = isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': 'registry.dmwg.internal' };
  return { ...named, 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_http_proxy': 0 };
}
