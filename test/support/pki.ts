// Certificates of an overlay, made as the registry makes them.
import {
  type CertificateAuthority,
  createCa,
  createCsr,
  type IssueOptions,
  issueCertificate,
  pemOf,
} from '#proto/kit/certificate.ts';
import type { Identity } from '#proto/kit/identity.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import { type NodeId, parseNodeId } from '#proto/model/names.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';

export const nodeId: NodeId = must(parseNodeId('0123456789abcdef'));

export async function authority(overlay = 'lab'): Promise<CertificateAuthority> {
  return createCa(overlay, Date.now() as Timestamp);
}

/** A certificate of this authority, valid for an hour unless `more` says otherwise. */
export async function issue(
  ca: CertificateAuthority,
  identity: Identity,
  more: Partial<Pick<IssueOptions, 'now' | 'validity' | 'usage' | 'ipAddresses'>> = {},
): Promise<ClientIdentity> {
  const name = identity.kind === 'node' ? 'alice' : identity.name;
  const { csr, key } = await createCsr(name);
  const issued = must(
    await issueCertificate({
      ca: ca.certificate,
      caKey: ca.key,
      csr,
      identity,
      name,
      now: Date.now() as Timestamp,
      validity: seconds(3600),
      usage: 'both',
      ...more,
    }),
  );
  return { ca: ca.certificate, certificate: pemOf(issued.certificate), key };
}

export function issueNode(ca: CertificateAuthority, more?: Parameters<typeof issue>[2]): Promise<ClientIdentity> {
  return issue(ca, { kind: 'node', overlay: 'lab', id: nodeId }, more);
}

export function issueRegistry(ca: CertificateAuthority, more?: Parameters<typeof issue>[2]): Promise<ClientIdentity> {
  return issue(ca, { kind: 'registry', overlay: 'lab', name: 'registry' }, more);
}
