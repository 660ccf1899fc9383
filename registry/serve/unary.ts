import type { handleUnaryCall } from '@grpc/grpc-js';
import { errorText } from '#proto/kit/errors.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Authenticate, Caller, CallerKind } from './caller.ts';
import type { RegistryContext } from './context.ts';
import { serviceError } from './errors.ts';

/** `signal` aborts when nobody waits for the answer any more. */
export type Handler<Q, A, C extends Caller = Caller> = (
  request: Q,
  caller: C,
  signal: AbortSignal,
) => Promise<Result<A>> | Result<A>;

/** The caller's kinds that a method is for, and what it does: a function that needs no network. */
export function unary<Q, A, K extends CallerKind>(
  context: Pick<RegistryContext, 'log'>,
  authenticate: Authenticate,
  kinds: readonly K[],
  handler: Handler<Q, A, Extract<Caller, { kind: K }>>,
): handleUnaryCall<Q, A> {
  const run = async (request: Q, caller: Result<Caller>, signal: AbortSignal): Promise<Result<A>> => {
    const allowed = allow(caller, kinds);
    return allowed.ok ? handler(request, allowed.value, signal) : allowed;
  };
  return (call, callback) => {
    const gone = new AbortController();
    call.on('cancelled', () => {
      gone.abort();
    });
    run(call.request, authenticate(call), gone.signal).then(
      (result) => {
        if (result.ok) callback(null, result.value);
        else callback(serviceError(result.fault));
      },
      (error: unknown) => {
        context.log.error({ method: call.getPath(), error: errorText(error) }, 'call failed');
        callback(serviceError({ code: 'unavailable', message: 'the registry failed at this call: see its log' }));
      },
    );
  };
}

/** The caller, if it is of one of the kinds that a method is for. */
export function allow<K extends CallerKind>(
  caller: Result<Caller>,
  kinds: readonly K[],
): Result<Extract<Caller, { kind: K }>> {
  if (!caller.ok) return caller;
  return isOf(caller.value, kinds) ? ok(caller.value) : refusal(caller.value, kinds);
}

function isOf<K extends CallerKind>(caller: Caller, kinds: readonly K[]): caller is Extract<Caller, { kind: K }> {
  return (kinds as readonly CallerKind[]).includes(caller.kind);
}

export function refusal(caller: Caller, kinds: readonly CallerKind[]): Result<never> {
  if (caller.kind === 'anyone') {
    return fail('no-certificate', 'this call needs a certificate of the overlay: join first, or use the admin profile');
  }
  return fail('not-allowed', `this call is for ${kinds.join(' or ')} certificates, not for that of a ${caller.kind}`);
}
