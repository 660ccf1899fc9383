import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { after, type Instant, milliseconds, toMilliseconds } from '#proto/model/time.ts';
import { liveBinding, remaining } from '#registry/decide/node.ts';
import { isStale, purgeRequest, type Told, toldNow } from '#registry/decide/purge.ts';
import type { RegistryContext } from './context.ts';
import type { Delivery } from './sessions.ts';

interface Answer {
  readonly told: Told;
  /** When the node forgets it by itself. */
  readonly until: Instant;
}

interface Purge {
  readonly asker: NodeId;
  readonly requestId: number;
  readonly until: Instant;
  prefixes: readonly Prefix[];
  wait: number;
  next: Instant;
}

/** More than a node can use; the oldest go. */
const mostAnswers = 4096;
const firstWait = 1000;
const longestWait = 60_000;

/** Hands a message to a node. "elsewhere": the acknowledgement does not come to this replica, so none is waited for. */
export type Deliver = (node: NodeId, message: NhrpMessage) => Promise<Delivery>;

/**
 * What this replica told to whom, and the purges of what is no longer so (RFC 2332 5.2.5): repeated after 1, 2, 4 s ...
 * until acknowledged or until the holding time is over.
 */
export class Answers {
  readonly #context: Pick<RegistryContext, 'store' | 'clock' | 'log'>;
  readonly #deliver: Deliver;
  readonly #answers = new Map<NodeId, Map<Prefix, Answer>>();
  readonly #purges = new Map<number, Purge>();
  #nextId = Math.floor(Math.random() * 0x7fff_ffff);
  #timer: NodeJS.Timeout | undefined;
  #check: NodeJS.Immediate | undefined;
  readonly #unsubscribe: () => void;

  constructor(context: Pick<RegistryContext, 'store' | 'clock' | 'log'>, deliver: Deliver) {
    this.#context = context;
    this.#deliver = deliver;
    this.#unsubscribe = context.store.onChange((changes) => {
      if (!changes.some(({ kind }) => kind === 'node' || kind === 'binding' || kind === 'all')) return;
      this.#check ??= setImmediate(() => {
        this.#check = undefined;
        this.#purgeStale();
      });
    });
  }

  remember(asker: NodeId, prefix: Prefix, about: NodeId): void {
    const { store, clock } = this.#context;
    const snapshot = store.snapshot();
    const told = toldNow(snapshot, prefix, about, clock.date());
    const binding = liveBinding(snapshot, about, clock.date());
    if (!told || !binding) return;
    const answers = this.#answers.get(asker) ?? new Map<Prefix, Answer>();
    this.#answers.set(asker, answers);
    answers.delete(prefix);
    answers.set(prefix, { told, until: after(clock.now(), toMilliseconds(remaining(binding, clock.date()))) });
    const oldest = answers.keys().next().value;
    if (answers.size > mostAnswers && oldest !== undefined) answers.delete(oldest);
    // What was just told anew must not be purged by a repetition.
    for (const purge of this.#purges.values()) {
      if (purge.asker === asker) purge.prefixes = purge.prefixes.filter((one) => one !== prefix);
    }
  }

  /** A purge of the operator: to this node, whatever it was told. */
  purge(asker: NodeId, prefixes: readonly Prefix[], until: Instant): void {
    const now = this.#context.clock.now();
    const requestId = (this.#nextId = (this.#nextId + 1) >>> 0);
    this.#purges.set(requestId, { asker, requestId, until, prefixes, wait: firstWait, next: now });
    this.#send();
  }

  acknowledge(asker: NodeId, requestId: number): void {
    if (this.#purges.get(requestId)?.asker === asker) this.#purges.delete(requestId);
  }

  /** The node is back: what it missed goes out now. */
  resume(asker: NodeId): void {
    const now = this.#context.clock.now();
    for (const purge of this.#purges.values()) {
      if (purge.asker === asker) Object.assign(purge, { next: now, wait: firstWait });
    }
    this.#send();
  }

  stop(): void {
    this.#unsubscribe();
    clearTimeout(this.#timer);
    clearImmediate(this.#check);
  }

  #purgeStale(): void {
    const { store, clock } = this.#context;
    const snapshot = store.snapshot();
    const now = clock.now();
    for (const [asker, answers] of this.#answers) {
      const stale: Prefix[] = [];
      let until = now;
      for (const [prefix, answer] of answers) {
        const over = answer.until <= now;
        if (!over && !isStale(snapshot, answer.told, clock.date())) continue;
        answers.delete(prefix);
        if (over) continue;
        stale.push(prefix);
        until = Math.max(until, answer.until) as Instant;
      }
      if (answers.size === 0) this.#answers.delete(asker);
      if (stale.length > 0 && snapshot.nodes.has(asker)) this.purge(asker, stale, until);
    }
  }

  #send(): void {
    const { store, clock, log } = this.#context;
    const now = clock.now();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const purge of this.#purges.values()) {
      const node = store.snapshot().nodes.get(purge.asker);
      if (!node || purge.until <= now || purge.prefixes.length === 0) this.#purges.delete(purge.requestId);
      else if (purge.next <= now) {
        purge.next = after(now, milliseconds(purge.wait));
        purge.wait = Math.min(purge.wait * 2, longestWait);
        void this.#deliver(node.id, purgeRequest(node, purge.prefixes, purge.requestId)).then((outcome) => {
          if (outcome === 'elsewhere') this.#purges.delete(purge.requestId);
          else if (outcome === 'nowhere') log.debug({ node: node.name }, 'purge waits for the session');
        });
      }
    }
    const next = Math.min(...[...this.#purges.values()].map((purge) => purge.next));
    if (Number.isFinite(next)) {
      this.#timer = setTimeout(
        () => {
          this.#send();
        },
        Math.max(10, next - now),
      ).unref();
    }
  }
}
