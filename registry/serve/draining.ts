import { fail, ok, type Result } from '#proto/model/result.ts';
import { transaction } from '#registry/decide/node.ts';
import type { Snapshot } from '#registry/decide/state.ts';
import type { RegistryContext } from './context.ts';
import type { Health } from './health.ts';
import type { Sessions } from './sessions.ts';

/** Sessions that are sent away in one turn of the loop, and the milliseconds until the next ones: those who come need some too. */
const portion = 50;
const pauseMs = 20;

/** Before this replica is stopped: its nodes go to others, in portions, and no new one is taken. */
export class Draining {
  readonly #context: Pick<RegistryContext, 'store' | 'self' | 'events'>;
  readonly #sessions: Pick<Sessions, 'open' | 'sendAway'>;
  readonly #health: Pick<Health, 'serve'>;
  #on = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    context: Pick<RegistryContext, 'store' | 'self' | 'events'>,
    sessions: Pick<Sessions, 'open' | 'sendAway'>,
    health: Pick<Health, 'serve'>,
  ) {
    this.#context = context;
    this.#sessions = sessions;
    this.#health = health;
  }

  get on(): boolean {
    return this.#on;
  }

  /** Again while it goes on: nothing new happens. The other replicas, and by them the nodes, are told. Faults: last-replica, and the store's. */
  async set(on: boolean): Promise<Result<{ readonly draining: boolean; readonly sessions: number }>> {
    const { store, self, events } = this.#context;
    if (on && !this.#on && others(store.snapshot(), self.id) === 0) {
      return fail('last-replica', 'no other replica of the registry runs: its nodes would have none');
    }
    if (on !== this.#on) {
      const put = [{ kind: 'replica', record: { ...self, draining: on } }] as const;
      const told = await store.commit(transaction({ put }));
      if (!told.ok) return told;
      this.#on = on;
      this.#health.serve(!on);
      events.add(on ? 'replica.draining' : 'replica.in-service', '', self.address);
      if (on) this.#sendAway();
      else this.stop();
    }
    return ok({ draining: on, sessions: this.#sessions.open.size });
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #sendAway(): void {
    this.#sessions.sendAway(portion, 'this replica is taken out of service');
    if (this.#sessions.open.size > 0) {
      this.#timer = setTimeout(() => {
        this.#sendAway();
      }, pauseMs);
    }
  }
}

/** Replicas that nodes can go to. */
function others({ replicas }: Snapshot, self: string): number {
  return [...replicas.values()].filter(({ id, draining }) => id !== self && draining !== true).length;
}
