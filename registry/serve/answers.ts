import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { after, type Instant, milliseconds, type Timestamp, toMilliseconds } from '#proto/model/time.ts';
import { liveBinding, remaining } from '#registry/decide/node.ts';
import { isStale, type Told, toldNow, type ToldRecord } from '#registry/decide/told.ts';
import type { StoreChange } from '#registry/store/port.ts';
import { BlanketPurges } from './blanket-purges.ts';
import type { RegistryContext } from './context.ts';
import { covers, type Deliver, Purges } from './purges.ts';
import { isSuspect, type Suspects, suspectsOf } from './route-changes.ts';
import { touchedNodes } from './sessions.ts';
import { type Answer, type KeptRecord, ToldIndex } from './told-index.ts';
import { ToldReader } from './told-reader.ts';
import { ToldWriter } from './told-writer.ts';

/** Milliseconds. Whose time is over goes within a minute, without a walk through everything at once. */
const sweepEvery = 1000;
const sweepParts = 60;

export interface AnswersParts {
  readonly context: Pick<RegistryContext, 'store' | 'clock' | 'log' | 'self'>;
  /** By node: those that have their session here. */
  readonly sessions: Pick<ReadonlyMap<NodeId, unknown>, 'has' | 'keys'>;
  readonly deliver: Deliver;
}

/**
 * What the nodes with a session here were told, and the purges of what is no longer so: the replica with a node's session sends
 * them. The store remembers for the replica of the next session, which so finds out what a node that was away, or whose replica died,
 * must forget. An answer is dropped when its purge is acknowledged, or the node has forgotten it by itself.
 */
export class Answers {
  readonly #parts: AnswersParts;
  readonly #purges: Purges;
  readonly #blanket: BlanketPurges;
  readonly #index = new ToldIndex();
  readonly #writer: ToldWriter<KeptRecord>;
  readonly #reader: ToldReader;
  #changes: StoreChange[] = [];
  #order = 0;
  #check: NodeJS.Immediate | undefined;
  readonly #sweeping: NodeJS.Timeout;
  readonly #unsubscribe: () => void;

  constructor(parts: AnswersParts) {
    const { store, clock, log } = parts.context;
    this.#parts = parts;
    this.#purges = new Purges(parts.context, parts.deliver);
    const purge = this.#purge.bind(this);
    this.#blanket = new BlanketPurges({ ...parts, purge });
    this.#writer = new ToldWriter({
      told: store.told,
      log,
      read: (asker, about) => this.#index.record(asker, about, clock.held()),
      written: (record) => {
        this.#index.stored(record);
      },
    });
    this.#reader = new ToldReader({ told: store.told, log, found: this.#learn.bind(this) });
    this.#unsubscribe = store.onChange((changes) => {
      this.#changes.push(...changes);
      this.#check ??= setImmediate(() => {
        this.#check = undefined;
        this.#changed(this.#changes.splice(0));
      });
    });
    this.#sweeping = setInterval(() => {
      this.#index.sweep(clock.held(), sweepParts);
    }, sweepEvery).unref();
  }

  /** How much is not in the store yet. */
  get unwritten(): number {
    return this.#writer.waiting;
  }

  /** A node with a session here heard of another one: as much as an answer about the prefix would say. */
  introduce(asker: NodeId, prefix: Prefix, about: NodeId): void {
    const { store, clock } = this.#parts.context;
    const told = toldNow(store.snapshot(), prefix, about, { now: clock.held(), asker });
    if (told) this.remember(asker, told);
  }

  /** A node with a session here was answered. */
  remember(asker: NodeId, { prefix, about, mark, revision }: Told): void {
    const { store, clock } = this.#parts.context;
    const now = clock.held();
    const binding = liveBinding(store.snapshot(), about, now);
    if (!binding || !this.#parts.sessions.has(asker)) return;
    const until = (clock.date() + toMilliseconds(remaining(binding, now))) as Timestamp;
    const known = this.#index.get(asker, prefix);
    const same = known !== undefined && known.about === about && known.mark === mark && known.stored >= until;
    const state = { until, order: ++this.#order, stored: same ? known.stored : 0, purging: false };
    const gone = this.#index.add({ asker, about, prefix, mark, revision, ...state });
    if (!same) this.#writer.note(asker, about);
    if (gone && gone.about !== about) this.#writer.note(asker, gone.about);
    this.#purges.spare(asker, prefix);
  }

  /** Whoever here was told about a node and need not forget it: one of the prefixes for each. */
  holdersOf(about: NodeId): Answer[] {
    const told = [...this.#index.about(about).values()].flatMap((one) => [...one.values()]);
    return firstOfEach(this.#withoutStale(told), 'asker');
  }

  /** What a node here was told of others, likewise. */
  heldBy(asker: NodeId): Answer[] {
    return firstOfEach(this.#withoutStale([...this.#index.of(asker)]), 'about');
  }

  acknowledge(asker: NodeId, requestId: number): void {
    const done = this.#purges.acknowledge(asker, requestId);
    if (!done) return;
    for (const answer of this.#index.of(asker)) {
      if (!covers(done, answer)) continue;
      this.#index.delete(answer);
      this.#writer.note(asker, answer.about);
    }
  }

  /** Repeats the purges that are due, which happens by itself as time goes on. */
  repeat(): void {
    this.#purges.repeat();
  }

  /** The node has a session here: what it must forget goes out as soon as it is known. */
  resume(asker: NodeId): void {
    this.#blanket.resume(asker);
    this.#writer.hold(asker);
    this.#reader.want(asker);
  }

  /** It has none here any more. */
  forget(asker: NodeId): void {
    this.#reader.drop(asker);
    this.#writer.keep(asker);
    this.#writer.release(asker);
    this.#index.forget(asker);
    this.#purges.forget(asker);
  }

  /** Resolves when the store has what was told, or cannot be reached. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#purges.stop();
    this.#reader.stop();
    clearImmediate(this.#check);
    clearInterval(this.#sweeping);
    await this.#writer.stop();
  }

  #changed(changes: readonly StoreChange[]): void {
    const snapshot = this.#parts.context.store.snapshot();
    const concerns = (kind: StoreChange['kind']): boolean =>
      changes.some((one) => one.kind === kind || one.kind === 'all');
    if (concerns('revocation')) this.#blanket.purgeRevoked();
    if (concerns('clear')) this.#blanket.purgeCleared();
    const nodes = touchedNodes(changes);
    const prefixes = changes.flatMap((one) => (one.kind === 'route' ? [one.prefix] : []));
    const suspects = suspectsOf(snapshot, nodes ?? [], prefixes);
    if (!nodes || concerns('overlay')) for (const id of this.#index.subjects()) suspects.set(id, undefined);
    this.#purgeStale(suspects);
  }

  #purgeStale(suspects: Suspects): void {
    const stale = new Map<NodeId, Answer[]>();
    for (const [about, parts] of suspects) {
      for (const [prefix, told] of this.#index.about(about)) {
        if (!isSuspect(parts, prefix)) continue;
        for (const answer of this.#staleOf(told.values())) {
          const own = stale.get(answer.asker) ?? [];
          own.push(answer);
          stale.set(answer.asker, own);
        }
      }
    }
    for (const [asker, answers] of stale) this.#purgeAnswers(asker, answers);
  }

  /** Also when the purge of the others is only about to be decided. */
  #withoutStale(told: readonly Answer[]): Answer[] {
    const stale = new Set(this.#staleOf(told));
    return told.filter((answer) => !stale.has(answer));
  }

  /** Those that are no longer so. */
  #staleOf(told: Iterable<Answer>): Answer[] {
    const { store, clock } = this.#parts.context;
    const snapshot = store.snapshot();
    const now = clock.held();
    return [...told].filter((answer) => {
      if (answer.purging || answer.until <= now) return false;
      const { prefix, about, asker } = answer;
      return isStale(snapshot, answer, toldNow(snapshot, prefix, about, { now, asker }));
    });
  }

  #purgeAnswers(asker: NodeId, answers: readonly Answer[]): void {
    const { store, clock } = this.#parts.context;
    // A node that is missing is told nothing: the data may have been lost.
    if (answers.length === 0 || !store.snapshot().nodes.has(asker)) return;
    for (const answer of answers) answer.purging = true;
    const latest = Math.max(...answers.map(({ until }) => until));
    const prefixes = answers.map(({ prefix }) => prefix);
    this.#purge(asker, prefixes, after(clock.now(), milliseconds(latest - clock.held())));
  }

  #purge(asker: NodeId, prefixes: readonly Prefix[], until: Instant): void {
    this.#purges.add(asker, prefixes, until, this.#order);
  }

  /** What other replicas told, or this one before. What it told since the session began is newer. */
  #learn(asker: NodeId, stored: readonly ToldRecord[]): void {
    // Nodes forget by clocks that never jump: a wall clock that was set forward must not hide what they still know.
    const now = this.#parts.context.clock.held();
    const own = this.#writer.due(asker);
    for (const record of stored) if (!own.get(record.about)) this.#learnRecord(record, now, true);
    for (const record of [...own.values()]) {
      if (!record) continue;
      this.#learnRecord(record, now, false);
      this.#writer.note(asker, record.about);
    }
    this.#writer.release(asker);
    const stale = this.#staleOf(this.#index.of(asker));
    this.#purgeAnswers(asker, stale);
  }

  #learnRecord({ asker, about, answers }: ToldRecord, now: Timestamp, isStored: boolean): void {
    for (const { prefix, mark, revision, until } of answers) {
      if (until <= now || this.#index.get(asker, prefix)) continue;
      const state = { order: ++this.#order, stored: isStored ? until : 0, purging: false };
      this.#index.add({ asker, about, prefix, mark, revision, until, ...state });
    }
  }
}

function firstOfEach(answers: readonly Answer[], node: 'asker' | 'about'): Answer[] {
  const found = new Map<NodeId, Answer>();
  for (const answer of answers) if (!answer.purging && !found.has(answer[node])) found.set(answer[node], answer);
  return [...found.values()];
}
