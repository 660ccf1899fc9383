import { connect, type DetailedPeerCertificate } from 'node:tls';
import { parseHostPort } from '#proto/codec/host-port.ts';
import { fingerprint, parseIdentity, pemOf } from '#proto/kit/certificate.ts';
import { ProgramError } from '#proto/kit/errors.ts';
import { must } from '#proto/model/result.ts';
import { connectionCause, deadlineMs } from './rpc-error.ts';

/** A chain of the overlay has two certificates. */
const longestChain = 8;

export interface PinnedCa {
  /** PEM. */
  readonly ca: string;
  readonly overlay: string;
}

/**
 * Asks the registry for its TLS chain, says nothing to it, and takes the certificate of the chain that has the pin. What the
 * leaf claims is not proved here: that needs a second connection, with this CA as the only root.
 * Throws ProgramError.
 */
export async function fetchPinnedCa(address: string, pin: string): Promise<PinnedCa> {
  const chain = await fetchChain(address);
  const ca = chain.find((certificate) => fingerprint(certificate) === pin);
  if (!ca) {
    throw new ProgramError(
      `what answers at ${address} does not have the CA that this token names; it is another overlay or an impostor: get a new token from the operator`,
    );
  }
  const leaf = parseIdentity(chain[0] ?? ca);
  if (!leaf.ok || leaf.value.kind !== 'registry') {
    throw new ProgramError(`what answers at ${address} is not the registry of this overlay; check the port`);
  }
  return { ca: pemOf(ca), overlay: leaf.value.overlay };
}

/** DER, leaf first. */
function fetchChain(address: string): Promise<Uint8Array[]> {
  const { host, port } = must(parseHostPort(address));
  return new Promise<Uint8Array[]>((resolve, reject) => {
    // The pin decides, not the machine's root store. An IP address is no server name (RFC 6066), so a fixed one is sent.
    const options = {
      host,
      port,
      servername: 'registry.dmwg.invalid',
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
    };
    const socket = connect(options, () => {
      const chain = chainOf(socket.getPeerCertificate(true));
      socket.destroy();
      resolve(chain);
    });
    socket.setTimeout(deadlineMs, () => {
      socket.destroy();
      reject(new ProgramError(connectionCause('timeout', address)));
    });
    socket.on('error', (error: Error) => {
      reject(new ProgramError(connectionCause(error.message, address)));
    });
    socket.on('close', () => {
      reject(new ProgramError(connectionCause('socket hang up', address)));
    });
  });
}

function chainOf(leaf: DetailedPeerCertificate): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate: DetailedPeerCertificate | undefined = leaf;
  let before: DetailedPeerCertificate | undefined;
  // A self-signed certificate is its own issuer; without a certificate the object is empty.
  while (certificate !== before && chain.length < longestChain) {
    const raw: unknown = certificate.raw;
    if (!(raw instanceof Uint8Array)) break;
    chain.push(new Uint8Array(raw));
    before = certificate;
    certificate = certificate.issuerCertificate;
  }
  return chain;
}
