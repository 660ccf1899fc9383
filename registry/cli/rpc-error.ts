// What gRPC and TLS say, in words that tell the operator what to do.
import { type ServiceError, status } from '@grpc/grpc-js';
import { ProgramError } from '#proto/kit/errors.ts';

/**
 * How long an answer may take. Not short: an enrolment that the registry did and the asker gave up on leaves a node that nobody
 * is, and a registry to which thousands of nodes come back at once needs a dozen seconds.
 */
export const deadlineMs = 15_000;

/** The registry that was asked, and as whom. */
export interface Reached {
  readonly address: string;
  readonly identity: 'admin' | 'certificate' | 'none';
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

/** A call that failed. `fault` is the registry's constant for the reason, such as "revoked"; absent if it gave none. */
export class CallError extends ProgramError {
  readonly fault: string | undefined;

  constructor(message: string, fault: string | undefined) {
    super(message);
    this.fault = fault;
  }
}

export function rpcError(error: ServiceError, reached: Reached): CallError {
  const fault = error.metadata.get('dmwg-fault')[0]?.toString();
  // The registry's own refusals say what to do.
  const message = fault === undefined ? describe(error, reached) : error.details;
  return new CallError(message.replaceAll(/\s*\n\s*/g, ' '), fault);
}

function describe(error: ServiceError, { address, identity }: Reached): string {
  switch (error.code) {
    case status.UNAVAILABLE:
      return connectionCause(error.details, address);
    case status.DEADLINE_EXCEEDED:
      return silent(address);
    case status.UNIMPLEMENTED:
      return `the registry at ${address} does not know this order; it is of another version, or another program listens there`;
    case status.UNAUTHENTICATED:
      return identity === 'certificate'
        ? `the registry at ${address} does not accept this certificate: ${error.details}`
        : `the registry at ${address} refused: ${error.details}`;
    default:
      return error.details === '' ? `the registry at ${address} failed without saying why` : error.details;
  }
}

const causes: readonly (readonly [RegExp, (address: string, details: string) => string])[] = [
  [/ECONNREFUSED/, (at) => `nothing listens at ${at}; start dmwg-registry, or check the address`],
  [/ENOENT|EACCES/, (at) => `cannot open ${at}; start dmwg-registry, or run this as the registry's user`],
  [/ENOTFOUND|EAI_AGAIN|Name resolution failed/, (at) => `the name in ${at} cannot be resolved; check it, or the DNS`],
  [/EHOSTUNREACH|ENETUNREACH/, (at) => `no route to the registry at ${at}; check this machine's network`],
  [
    /self[- ]signed certificate|unable to (get|verify)|signature failure/i,
    (at) => `the registry at ${at} is of another CA than this profile; use the profile or token of that overlay`,
  ],
  [
    /alert certificate (revoked|expired|unknown)|alert (bad certificate|unknown ca|access denied)/i,
    (at) => `the registry at ${at} refused this certificate; it is revoked, expired or of another CA: join again`,
  ],
  [
    /certificate has expired/i,
    (at) => `the certificate of the registry at ${at} has expired, or this machine's clock is wrong`,
  ],
  [/not yet valid/i, (at) => `the certificate of the registry at ${at} is not valid yet: set this machine's clock`],
  [/not that of a registry/i, (at, details) => `what answers at ${at} is not the registry: ${details}`],
  [/timeout|ETIMEDOUT/i, silent],
  [
    /wrong version number|ECONNRESET|socket hang up/i,
    (at) => `what answers at ${at} does not speak as a registry; check the port`,
  ],
];

function silent(address: string): string {
  const span = `${String(deadlineMs / 1000)} s`;
  return `the registry at ${address} did not answer within ${span}; check that it runs and that no firewall drops its port`;
}

/** A failed connection, from the words of Node or OpenSSL. */
export function connectionCause(details: string, address: string): string {
  const cause = causes.find(([pattern]) => pattern.test(details));
  return cause ? cause[1](address, details) : `the registry at ${address} is not available: ${details.slice(0, 300)}`;
}
