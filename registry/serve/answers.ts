import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { after, type Instant, seconds, type Timestamp, toMilliseconds } from '#proto/model/time.ts';
import { liveBinding, remaining } from '#registry/decide/node.ts';
import { isStale, type Told, toldNow } from '#registry/decide/purge.ts';
import type { RevocationRecord } from '#registry/decide/records.ts';
import { ledTo } from '#registry/decide/removal.ts';
import type { RegistryContext } from './context.ts';
import { type Deliver, Purges } from './purges.ts';

interface Answer {
  readonly told: Told;
  /** When the node forgets it by itself. */
  readonly until: Instant;
}

/** More than a node can use; the oldest go. */
const mostAnswers = 4096;
/** The longest holding time: what was told before is forgotten. */
const longestHolding = seconds(65_535);

/**
 * What this replica told to whom, and the purges of what is no longer so. Of a node that is shut out every node here is told,
 * whatever it was told before: that may have been said by another replica, or by this one before it started anew.
 */
export class Answers {
  readonly #context: Pick<RegistryContext, 'store' | 'clock' | 'log'>;
  readonly #sessions: () => Iterable<NodeId>;
  readonly #purges: Purges;
  readonly #answers = new Map<NodeId, Map<Prefix, Answer>>();
  /** Revocations that somebody may not have heard of. */
  readonly #revoked = new Map<NodeId, RevocationRecord>();
  #check: NodeJS.Immediate | undefined;
  readonly #unsubscribe: () => void;

  /** `sessions`: the nodes that have their session here. */
  constructor(
    context: Pick<RegistryContext, 'store' | 'clock' | 'log'>,
    sessions: () => Iterable<NodeId>,
    deliver: Deliver,
  ) {
    this.#context = context;
    this.#sessions = sessions;
    this.#purges = new Purges(context, deliver);
    let revocations = true;
    const check = (): void => {
      this.#check = undefined;
      if (revocations) this.#purgeRevoked();
      revocations = false;
      this.#purgeStale();
    };
    check();
    this.#unsubscribe = context.store.onChange((changes) => {
      revocations ||= changes.some(({ kind }) => kind === 'revocation' || kind === 'all');
      if (!revocations && !changes.some(({ kind }) => kind === 'node' || kind === 'binding')) return;
      this.#check ??= setImmediate(check);
    });
  }

  remember(asker: NodeId, prefix: Prefix, about: NodeId): void {
    const { store, clock } = this.#context;
    const snapshot = store.snapshot();
    const told = toldNow(snapshot, prefix, about, clock.held());
    const binding = liveBinding(snapshot, about, clock.held());
    if (!told || !binding) return;
    const answers = this.#answers.get(asker) ?? new Map<Prefix, Answer>();
    this.#answers.set(asker, answers);
    answers.delete(prefix);
    answers.set(prefix, { told, until: after(clock.now(), toMilliseconds(remaining(binding, clock.held()))) });
    const oldest = answers.keys().next().value;
    if (answers.size > mostAnswers && oldest !== undefined) answers.delete(oldest);
    this.#purges.spare(asker, prefix);
  }

  /** A purge of the operator, or one that another replica began: to this node, whatever it was told. */
  purge(asker: NodeId, prefixes: readonly Prefix[], until: Instant): void {
    this.#purges.add(asker, prefixes, until);
  }

  acknowledge(asker: NodeId, requestId: number): void {
    this.#purges.acknowledge(asker, requestId);
  }

  /** The node is back: what it missed goes out now. */
  resume(asker: NodeId): void {
    this.#forgetRevoked();
    const prefixes = [...this.#revoked.values()].flatMap(ledTo);
    if (prefixes.length > 0) this.purge(asker, prefixes, this.#latest());
    this.#purges.resume(asker);
  }

  stop(): void {
    this.#unsubscribe();
    this.#purges.stop();
    clearImmediate(this.#check);
  }

  #purgeRevoked(): void {
    const { store, clock } = this.#context;
    const now = clock.date();
    this.#forgetRevoked();
    const news: Prefix[] = [];
    for (const record of store.snapshot().revoked.values()) {
      if (isOver(record, now) || this.#revoked.has(record.node)) continue;
      this.#revoked.set(record.node, record);
      news.push(...ledTo(record));
    }
    if (news.length > 0) for (const node of this.#sessions()) this.purge(node, news, this.#latest());
  }

  #forgetRevoked(): void {
    const { store, clock } = this.#context;
    const { revoked } = store.snapshot();
    const now = clock.date();
    for (const [node, record] of this.#revoked) {
      if (isOver(record, now) || !revoked.has(node)) this.#revoked.delete(node);
    }
  }

  #latest(): Instant {
    return after(this.#context.clock.now(), toMilliseconds(longestHolding));
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
        if (!over && !isStale(snapshot, answer.told, clock.held())) continue;
        answers.delete(prefix);
        if (over) continue;
        stale.push(prefix);
        until = Math.max(until, answer.until) as Instant;
      }
      if (answers.size === 0) this.#answers.delete(asker);
      if (stale.length > 0 && snapshot.nodes.has(asker)) this.purge(asker, stale, until);
    }
  }
}

function isOver(record: RevocationRecord, now: Timestamp): boolean {
  return record.at + toMilliseconds(longestHolding) < now;
}
