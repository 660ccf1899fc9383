// How calls to etcd behave; each value was measured with members killed, cut off and paused.
import { type ChannelOptions, InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import { ConsecutiveBreaker, circuitBreaker, handleWhen, type IPolicy, noop } from 'cockatiel';

/** A member without a leader then says so, instead of keeping a call or a watch that nothing will ever reach. */
const requireLeader: Interceptor = (options, next) =>
  new InterceptingCall(next(options), {
    start(metadata, listener, proceed) {
      metadata.set('hasleader', 'true');
      proceed(metadata, listener);
    },
  });

export const channelOptions: ChannelOptions = {
  interceptors: [requireLeader],
  // Below 10 s etcd answers "too many pings".
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
};

/** Keeps calls from a dead member while others live; with one member there is nothing better to try. */
export function memberBreaker(members: number, isConnectionError: (error: Error) => boolean): IPolicy {
  if (members === 1) return noop;
  return circuitBreaker(handleWhen(isConnectionError), { halfOpenAfter: 1000, breaker: new ConsecutiveBreaker(3) });
}
