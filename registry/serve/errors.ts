// How a Fault becomes a gRPC status: the one table.
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { Fault } from '#proto/model/result.ts';

const statusOf: Readonly<Record<string, status>> = {
  'token-unknown': status.PERMISSION_DENIED,
  'token-expired': status.PERMISSION_DENIED,
  'token-used-up': status.PERMISSION_DENIED,
  'role-not-allowed': status.PERMISSION_DENIED,
  'prefix-not-allowed': status.PERMISSION_DENIED,
  'not-allowed': status.PERMISSION_DENIED,
  revoked: status.PERMISSION_DENIED,
  'no-certificate': status.UNAUTHENTICATED,
  'bad-identity': status.UNAUTHENTICATED,
  'unknown-node': status.UNAUTHENTICATED,
  'prefix-taken': status.ALREADY_EXISTS,
  'name-taken': status.ALREADY_EXISTS,
  'address-taken': status.ALREADY_EXISTS,
  'pool-exhausted': status.RESOURCE_EXHAUSTED,
  'too-many': status.RESOURCE_EXHAUSTED,
  'node-unknown': status.NOT_FOUND,
  'token-not-found': status.NOT_FOUND,
  'no-overlay': status.UNAVAILABLE,
  unavailable: status.UNAVAILABLE,
  'wrong-replica': status.FAILED_PRECONDITION,
  'last-replica': status.FAILED_PRECONDITION,
  conflict: status.ABORTED,
  cancelled: status.CANCELLED,
  // etcd would not have it, or what it has cannot be read: a defect here, not of the request.
  refused: status.INTERNAL,
  unreadable: status.INTERNAL,
};

/** Everything that is not in the table came from a parser: the request is wrong. */
export function serviceError(fault: Fault): ServiceError {
  const code = statusOf[fault.code] ?? status.INVALID_ARGUMENT;
  const metadata = new Metadata();
  metadata.set('dmwg-fault', fault.code);
  return Object.assign(new Error(fault.message), { code, details: fault.message, metadata });
}
