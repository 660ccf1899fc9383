import { type handleServerStreamingCall, Metadata } from '@grpc/grpc-js';
import { encodeNhrp } from '#proto/codec/nhrp.ts';
import { Direction, type FollowNhrpRequest, type FollowNhrpResponse } from '#proto/gen/dmwg/v1/admin.ts';
import { ok, type Result } from '#proto/model/result.ts';
import { findNode } from '#registry/decide/removal.ts';
import type { Authenticate } from './caller.ts';
import type { RegistryContext } from './context.ts';
import { serviceError } from './errors.ts';
import type { Follower, FollowerPipe, Sighting } from './follower.ts';
import { allow } from './unary.ts';

type Call = Parameters<handleServerStreamingCall<FollowNhrpRequest, FollowNhrpResponse>>[0];

/** AdminService.FollowNhrp. Its headers go out at once, so that the caller knows that it follows. */
export function followNhrp(
  context: RegistryContext,
  authenticate: Authenticate,
): handleServerStreamingCall<FollowNhrpRequest, FollowNhrpResponse> {
  return (call) => {
    const caller = allow(authenticate(call), ['admin']);
    const follower = caller.ok ? start(context, call) : caller;
    if (!follower.ok) {
      call.emit('error', serviceError(follower.fault));
      return;
    }
    const over = (): void => {
      follower.value.end();
    };
    call.on('drain', () => {
      follower.value.drained();
    });
    for (const event of ['cancelled', 'close', 'error'] as const) call.on(event, over);
    call.sendMetadata(new Metadata());
  };
}

function start({ store, traffic }: RegistryContext, call: Call): Result<Follower> {
  const { node } = call.request;
  const found = node === '' ? ok(undefined) : findNode(store.snapshot(), node);
  if (!found.ok) return found;
  const pipe: FollowerPipe = {
    write: (sighting, dropped) => call.write(encodeSighting(sighting, dropped)),
    end: () => {
      call.end();
    },
  };
  return traffic.follow(found.value?.id, pipe);
}

function encodeSighting({ time, direction, node, message }: Sighting, dropped: number): FollowNhrpResponse {
  return {
    timeMs: BigInt(time),
    direction: direction === 'sent' ? Direction.DIRECTION_SENT : Direction.DIRECTION_RECEIVED,
    node,
    message: encodeNhrp(message),
    dropped: BigInt(dropped),
  };
}
