import { errorCode } from '#proto/model/nhrp.ts';
import type { Fault } from '#proto/model/result.ts';

/** Why a packet cannot be read, or a message not written. */
export interface PacketFault extends Fault {
  /** The code of an Error Indication about it (RFC 2332 5.2.7); undefined where none is sent. */
  readonly error: number | undefined;
  /** Octets from the start of the fixed header: the Error Offset of that indication. */
  readonly offset: number;
}

export type PacketError =
  | typeof errorCode.protocolError
  | typeof errorCode.sduTooBig
  | typeof errorCode.invalidExtension;

const names: Readonly<Record<PacketError, string>> = {
  [errorCode.protocolError]: 'nhrp-protocol-error',
  [errorCode.sduTooBig]: 'nhrp-too-big',
  [errorCode.invalidExtension]: 'nhrp-invalid-extension',
};

export function packetFault(error: PacketError, offset: number, message: string): PacketFault {
  return { code: names[error], message, error, offset };
}

export function failAt(
  error: PacketError,
  offset: number,
  message: string,
): { readonly ok: false; readonly fault: PacketFault } {
  return { ok: false, fault: packetFault(error, offset, message) };
}
