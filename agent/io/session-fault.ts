// Why a session with the registry does not come up, in words that say what to do.
import { type ServiceError, status } from '@grpc/grpc-js';
import { certificateValidity } from '#proto/kit/certificate.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import type { Fault } from '#proto/model/result.ts';
import type { Timestamp } from '#proto/model/time.ts';

/** Codes of faults that repetition does not heal soon: the next attempt is a minute away. */
const lasting: ReadonlySet<string> = new Set([
  'revoked',
  'unknown-node',
  'replaced',
  'refused',
  'unauthenticated',
  'certificate-expired',
  'clock-behind',
  'wrong-ca',
  'wrong-registry',
  'registry-certificate-expired',
]);

export function isLasting(fault: Fault): boolean {
  return lasting.has(fault.code);
}

/** The node's own certificate at this moment; absent when it is good. */
export function certificateFault(identity: ClientIdentity, now: Timestamp): Fault | undefined {
  const { from, until } = certificateValidity(identity.certificate);
  if (now >= until) {
    const message = `the certificate of this node expired at ${at(until)}: run \`dmwg join\` again with a new token, or set the clock`;
    return { code: 'certificate-expired', message };
  }
  if (now < from) {
    const message = `the certificate of this node is valid from ${at(from)}, and the clock says ${at(now)}: set the clock`;
    return { code: 'clock-behind', message };
  }
  return undefined;
}

/** TLS failures arrive as text in UNAVAILABLE; the phrases are OpenSSL's and our own. */
const phrases: readonly (readonly [RegExp, Fault])[] = [
  [
    /certificate presented is not that of a registry/,
    {
      code: 'wrong-registry',
      message: 'what answers is not a registry of this overlay: check the address in agent.yaml',
    },
  ],
  [
    /certificate has expired/,
    {
      code: 'registry-certificate-expired',
      message:
        "the registry's certificate has expired: restart the registry to renew it, or set the clock of this machine",
    },
  ],
  [
    /certificate is not yet valid/,
    { code: 'clock-behind', message: "the registry's certificate is not valid yet: set the clock" },
  ],
  [
    /self[- ]signed certificate|unable to (?:get|verify)|certificate signature failure|unknown ca|CERT_UNTRUSTED/i,
    {
      code: 'wrong-ca',
      message:
        'the registry is of another CA than this node: was it set up anew? Run `dmwg join` with a token of the new one',
    },
  ],
  [
    /wrong version number|packet length too long|http_request/i,
    { code: 'wrong-registry', message: 'what answers does not speak TLS: check the address in agent.yaml' },
  ],
];

/** Where the registry puts the code of its fault. */
const faultKey = 'dmwg-fault';

export function callFault(error: ServiceError): Fault {
  const detail = error.details === '' ? error.message : error.details;
  // Only what says so in so many words: a node that was thrown out takes its tunnels down.
  const said = error.metadata.get(faultKey);
  if (said.includes('revoked')) return { code: 'revoked', message: detail };
  if (said.includes('unknown-node')) return { code: 'unknown-node', message: detail };
  if (error.code === status.PERMISSION_DENIED) return { code: 'refused', message: detail };
  if (error.code === status.UNAUTHENTICATED) {
    return { code: 'unauthenticated', message: `the registry does not accept the certificate of this node: ${detail}` };
  }
  if (error.code === status.UNIMPLEMENTED) {
    return { code: 'wrong-registry', message: 'what answers is not a dmwg registry: check the address in agent.yaml' };
  }
  const known = phrases.find(([phrase]) => phrase.test(detail));
  return known?.[1] ?? { code: 'unreachable', message: `the registry cannot be reached: ${detail}` };
}

function at(moment: Timestamp): string {
  return new Date(moment).toISOString();
}
