// The codes of RFC 2332 in words, as short as in its headings.
import { cieCode, errorCode } from '#proto/model/nhrp.ts';
import { unknownError } from '#proto/model/nhrp-counters.ts';

const naks: Readonly<Record<number, string>> = {
  [cieCode.ok]: 'ok',
  [cieCode.prohibited]: 'administratively prohibited',
  [cieCode.noResources]: 'insufficient resources',
  [cieCode.noBinding]: 'no binding exists',
  [cieCode.notUnique]: 'binding is not unique',
  [cieCode.alreadyRegistered]: 'unique address already registered',
};

const errors: Readonly<Record<number, string>> = {
  [errorCode.unrecognisedExtension]: 'unrecognised extension',
  [errorCode.loop]: 'loop detected',
  [errorCode.addressUnreachable]: 'protocol address unreachable',
  [errorCode.protocolError]: 'protocol error',
  [errorCode.sduTooBig]: 'SDU size exceeded',
  [errorCode.invalidExtension]: 'invalid extension',
  [errorCode.invalidReply]: 'invalid reply received',
  [errorCode.authenticationFailure]: 'authentication failure',
  [errorCode.hopCountExceeded]: 'hop count exceeded',
  [unknownError]: 'of unknown code',
};

/** RFC 2332 5.2.0.1 and 5.2.2 to 5.2.4. */
export function nakWords(code: number): string {
  return naks[code] ?? 'unknown code';
}

/** RFC 2332 5.2.7. */
export function errorWords(code: number): string {
  return errors[code] ?? 'unknown code';
}
