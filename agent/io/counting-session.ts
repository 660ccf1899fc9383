import { NhrpCounter, type NhrpCounters } from '#proto/model/nhrp-counters.ts';
import type { Session } from './session-port.ts';

/** A session whose NHRP messages are counted: those that came, and those that it took. */
export function countingSession(session: Session): Session & { readonly counters: () => NhrpCounters } {
  const counter = new NhrpCounter();
  return {
    ...session,
    send(message) {
      const taken = session.send(message);
      if (taken && message.type === 'nhrp') counter.add('sent', message.message);
      return taken;
    },
    run: (signal, handlers) =>
      session.run(signal, {
        ...handlers,
        onMessage(message) {
          if (message.type === 'nhrp') counter.add('received', message.message);
          handlers.onMessage(message);
        },
      }),
    counters: () => counter.read(),
  };
}
