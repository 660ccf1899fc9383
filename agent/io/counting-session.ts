import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { count, type Direction, type NhrpCounters, noMessages } from '#proto/model/nhrp-counters.ts';
import type { Session } from './session-port.ts';

/** A session whose NHRP messages are counted: those that came, and those that it took. */
export function countingSession(session: Session): Session & { readonly counters: () => NhrpCounters } {
  let counters = noMessages;
  const note = (direction: Direction, message: NhrpMessage): void => {
    counters = count(counters, direction, message);
  };
  return {
    ...session,
    send(message) {
      const taken = session.send(message);
      if (taken && message.type === 'nhrp') note('sent', message.message);
      return taken;
    },
    run: (signal, handlers) =>
      session.run(signal, {
        ...handlers,
        onMessage(message) {
          if (message.type === 'nhrp') note('received', message.message);
          handlers.onMessage(message);
        },
      }),
    counters: () => counters,
  };
}
