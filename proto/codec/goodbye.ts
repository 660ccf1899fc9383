import { Goodbye_Reason } from '#proto/gen/dmwg/v1/nhrp.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { GoodbyeReason } from '#proto/model/session.ts';

export const reasons: Readonly<Record<GoodbyeReason, Goodbye_Reason>> = {
  draining: Goodbye_Reason.REASON_DRAINING,
  revoked: Goodbye_Reason.REASON_REVOKED,
  replaced: Goodbye_Reason.REASON_REPLACED,
  'protocol-error': Goodbye_Reason.REASON_PROTOCOL_ERROR,
};

export function decodeReason(reason: Goodbye_Reason): Result<GoodbyeReason> {
  for (const name of ['draining', 'revoked', 'replaced', 'protocol-error'] as const) {
    if (reasons[name] === reason) return ok(name);
  }
  return fail('bad-reason', `${String(reason)} is not a reason`);
}
