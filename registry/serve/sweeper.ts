import { pause } from '#proto/kit/clock.ts';
import type { NodeId } from '#proto/model/names.ts';
import { milliseconds, type Timestamp } from '#proto/model/time.ts';
import { claimSessions } from '#registry/decide/claim-sessions.ts';
import { expired, forgettable, lose, revive, sweeps, unheld } from '#registry/decide/expire.ts';
import type { Transaction } from '#registry/decide/state.ts';
import type { RegistryContext } from './context.ts';
import type { Observations } from './observations.ts';
import type { Sessions } from './sessions.ts';

/** Between two looks when nothing calls for one. */
const interval = 1000;
/** A node that comes back within this time, or a quarter of the holding time, was never lost. */
const longestGrace = 30_000;

/**
 * Brings the store into line with the sessions, pass by pass: their records, bindings that are held again, and (at one
 * replica) bindings that nobody holds, those whose time is over, and old revocations. What fails now, as etcd is away, is done by a later
 * pass; nothing waits for it.
 */
export class Sweeper {
  readonly #context: RegistryContext;
  readonly #sessions: Sessions;
  readonly #observations: Observations;
  /** Since when a node's binding was seen without a session. */
  readonly #missing = new Map<NodeId, Timestamp>();
  #wake = new AbortController();

  constructor(context: RegistryContext, sessions: Sessions, observations: Observations) {
    this.#context = context;
    this.#sessions = sessions;
    this.#observations = observations;
  }

  wake(): void {
    this.#wake.abort();
  }

  async run(signal: AbortSignal): Promise<void> {
    const unsubscribe = this.#context.store.onChange((changes) => {
      if (changes.some(({ kind }) => kind === 'session' || kind === 'replica' || kind === 'all')) this.wake();
    });
    const stop = (): void => {
      this.wake();
    };
    signal.addEventListener('abort', stop, { once: true });
    while (!signal.aborted) {
      this.#wake = new AbortController();
      await this.pass(signal);
      await pause(milliseconds(interval), this.#wake.signal);
    }
    unsubscribe();
  }

  async pass(signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#context;
    // Also while the store is away, so that the clock sees it.
    clock.held();
    if (!store.healthy()) return;
    this.#observations.flush();
    const steps = [
      () => this.#claim(signal),
      () => this.#revive(signal),
      () => this.#lose(signal),
      () => this.#expire(signal),
      () => this.#forget(signal),
    ];
    for (const step of steps) {
      if (signal.aborted) return;
      await step();
    }
  }

  async #claim(signal: AbortSignal): Promise<void> {
    const { store, self } = this.#context;
    const open = new Map([...this.#sessions.open.values()].map((session) => [session.node, session]));
    const { transactions, replaced } = claimSessions(store.snapshot(), self, open);
    for (const node of replaced) this.#sessions.replace(node);
    for (const { recording, transaction } of transactions) {
      if (signal.aborted || !(await this.#commit(transaction))) return;
      for (const node of recording) {
        const session = open.get(node);
        if (session) session.recorded = true;
      }
    }
  }

  async #revive(signal: AbortSignal): Promise<void> {
    const { store } = this.#context;
    for (const session of this.#sessions.open.values()) {
      if (!session.registered || session.ended) continue;
      const transaction = revive(store.snapshot(), session.node, session.agentVersion);
      if (signal.aborted || (transaction && !(await this.#commit(transaction)))) return;
    }
  }

  async #lose(signal: AbortSignal): Promise<void> {
    const { store, self, clock } = this.#context;
    const now = clock.held();
    const missing = new Set(unheld(store.snapshot()).filter((node) => !this.#sessions.open.has(node)));
    for (const node of this.#missing.keys()) if (!missing.has(node)) this.#missing.delete(node);
    for (const node of missing) if (!this.#missing.has(node)) this.#missing.set(node, now);
    if (!sweeps(store.snapshot(), self.id)) return;
    for (const [node, since] of this.#missing) {
      const binding = store.snapshot().bindings.get(node);
      const grace = Math.min(longestGrace, ((binding?.holdingTime ?? 0) * 1000) / 4);
      if (now - since < grace) continue;
      const transaction = lose(store.snapshot(), node, (clock.date() - (now - since)) as Timestamp);
      if (signal.aborted || (transaction && !(await this.#commit(transaction)))) return;
      if (transaction) this.#context.events.add('node.lost', this.#name(node));
    }
  }

  async #expire(signal: AbortSignal): Promise<void> {
    const { store, self, clock, events } = this.#context;
    if (!sweeps(store.snapshot(), self.id)) return;
    for (const { node, transaction } of expired(store.snapshot(), clock.held())) {
      // Held, though the store does not say so yet.
      if (this.#sessions.open.get(node)?.registered) continue;
      if (signal.aborted || !(await this.#commit(transaction))) return;
      events.add('node.expired', this.#name(node));
    }
  }

  async #forget(signal: AbortSignal): Promise<void> {
    const { store, self, clock, nodeValidity } = this.#context;
    if (!sweeps(store.snapshot(), self.id)) return;
    for (const transaction of forgettable(store.snapshot(), clock.date(), nodeValidity)) {
      if (signal.aborted || !(await this.#commit(transaction))) return;
    }
  }

  /** False: nothing more makes sense in this pass. A conflict is looked at again by the next one. */
  async #commit(transaction: Transaction): Promise<boolean> {
    const committed = await this.#context.store.commit(transaction);
    return committed.ok;
  }

  #name(node: NodeId): string {
    return this.#context.store.snapshot().nodes.get(node)?.name ?? node;
  }
}
