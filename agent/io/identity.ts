// The node's certificate in its state dir: ca.crt, node.key, node.crt.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { AgentConfig } from '#proto/codec/agent-config.ts';
import { parseIdentity } from '#proto/kit/certificate.ts';
import { writeFileAtomic } from '#proto/kit/atomic-file.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import type { Secret } from '#proto/kit/secret.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';

export const identityFiles = { ca: 'ca.crt', key: 'node.key', certificate: 'node.crt' } as const;

/** Whether the three belong together and to this node. An expired certificate passes: time is not the files' fault. */
export function checkIdentity(identity: ClientIdentity, config: AgentConfig): Result<ClientIdentity> {
  const ca = parseCertificate(identity.ca);
  if (!ca) return fail('bad-identity', `${identityFiles.ca} holds no certificate`);
  const certificate = parseCertificate(identity.certificate);
  if (!certificate) return fail('bad-identity', `${identityFiles.certificate} holds no certificate`);
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) {
    return fail('bad-identity', `${identityFiles.certificate} is not signed by ${identityFiles.ca}`);
  }
  if (!fits(identity.key, certificate)) {
    return fail('bad-identity', `${identityFiles.key} is not the key of ${identityFiles.certificate}`);
  }
  const named = parseIdentity(certificate.raw);
  if (!named.ok) return fail('bad-identity', `${identityFiles.certificate}: ${named.fault.message}`);
  const { kind, overlay } = named.value;
  if (kind !== 'node' || named.value.id !== config.node.id || overlay !== config.overlay) {
    return fail(
      'bad-identity',
      `${identityFiles.certificate} is not the certificate of node ${config.node.id} of ${config.overlay}`,
    );
  }
  return ok(identity);
}

/** The key stays, so that this one write is all or nothing. */
export async function saveCertificate(dir: string, certificate: string): Promise<void> {
  await writeFileAtomic(join(dir, identityFiles.certificate), certificate, 0o644);
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function fits(key: Secret, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key.reveal()));
  } catch {
    return false;
  }
}
