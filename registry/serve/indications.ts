import type { NhrpMessage, TrafficIndication } from '#proto/model/nhrp.ts';
import type { Instant } from '#proto/model/time.ts';
import { indicate, indicationGap } from '#registry/decide/indicate.ts';
import type { Server } from '#registry/decide/transit.ts';
import type { RegistryContext } from './context.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

const mostPairs = 10_000;

/** Hands the traffic indications of hubs to the spokes that they are for, each pair at most once in a while. */
export class Indications {
  readonly #context: Pick<RegistryContext, 'store' | 'clock'>;
  readonly #sessions: Pick<Sessions, 'deliver'>;
  /** When a pair was indicated last. */
  readonly #last = new Map<string, Instant>();

  constructor(context: Pick<RegistryContext, 'store' | 'clock'>, sessions: Pick<Sessions, 'deliver'>) {
    this.#context = context;
    this.#sessions = sessions;
  }

  /** Returns the error that the sender deserves, if it does. */
  take(session: Session, message: NhrpMessage<TrafficIndication>, server: Server | undefined): number | undefined {
    const { store, clock } = this.#context;
    const snapshot = store.snapshot();
    const node = snapshot.nodes.get(session.node);
    const indication = node && indicate(snapshot, node, message, { now: clock.held(), server });
    if (indication === undefined || typeof indication === 'number') return indication;
    const pair = `${indication.to} ${message.destination}`;
    const last = this.#last.get(pair);
    const now = clock.now();
    if (last !== undefined && now - last < indicationGap) return undefined;
    this.#last.delete(pair);
    this.#last.set(pair, now);
    const oldest = this.#last.keys().next().value;
    if (this.#last.size > mostPairs && oldest !== undefined) this.#last.delete(oldest);
    void this.#sessions.deliver(indication.to, indication.message);
    return undefined;
  }
}
