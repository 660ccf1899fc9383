import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Timestamp } from '#proto/model/time.ts';
import type { Told, ToldRecord } from '#registry/decide/told.ts';

/** What a node with a session here was told, and must forget when it is no longer so. */
export interface Answer extends Told {
  readonly asker: NodeId;
  /** When the node forgets it by itself. */
  readonly until: Timestamp;
  /** Counts all that was told and purged. */
  readonly order: number;
  /** The store remembers it until then; 0: not at all. */
  stored: number;
  /** The node is being told to forget it. */
  purging: boolean;
}

/** As it is stored. */
export type KeptRecord = ToldRecord & { readonly answers: readonly Answer[] };

/** More than a node can use; the oldest go. */
const mostAnswers = 4096;
/** Of one node about one other that are stored; the newest. */
const mostStored = 256;
/** The store remembers longer by this part of the time: what is told again soon needs no writing. */
const storedLonger = 1 / 8;

/** The answers by who was told, and by whom they are about. */
export class ToldIndex {
  readonly #byAsker = new Map<NodeId, Map<Prefix, Answer>>();
  readonly #byAbout = new Map<NodeId, Map<Prefix, Map<NodeId, Answer>>>();
  #sweep: Iterator<[NodeId, Map<Prefix, Answer>]> | undefined;

  get(asker: NodeId, prefix: Prefix): Answer | undefined {
    return this.#byAsker.get(asker)?.get(prefix);
  }

  /** Takes the place of what was told of the same prefix. Returns what went. */
  add(answer: Answer): Answer | undefined {
    const own = this.#byAsker.get(answer.asker) ?? new Map<Prefix, Answer>();
    const old = own.get(answer.prefix);
    if (old) this.delete(old);
    this.#byAsker.set(answer.asker, own);
    own.set(answer.prefix, answer);
    const about = this.#byAbout.get(answer.about) ?? new Map<Prefix, Map<NodeId, Answer>>();
    this.#byAbout.set(answer.about, about);
    const told = about.get(answer.prefix) ?? new Map<NodeId, Answer>();
    about.set(answer.prefix, told);
    told.set(answer.asker, answer);
    const oldest = own.size > mostAnswers ? own.values().next().value : undefined;
    if (oldest) this.delete(oldest);
    return old ?? oldest;
  }

  delete(answer: Answer): void {
    const own = this.#byAsker.get(answer.asker);
    own?.delete(answer.prefix);
    if (own?.size === 0) this.#byAsker.delete(answer.asker);
    const about = this.#byAbout.get(answer.about);
    const told = about?.get(answer.prefix);
    told?.delete(answer.asker);
    if (told?.size === 0) about?.delete(answer.prefix);
    if (about?.size === 0) this.#byAbout.delete(answer.about);
  }

  /** The session of the node is over. */
  forget(asker: NodeId): void {
    for (const answer of this.of(asker)) this.delete(answer);
  }

  of(asker: NodeId): Answer[] {
    return [...(this.#byAsker.get(asker)?.values() ?? [])];
  }

  /** By prefix. */
  about(node: NodeId): ReadonlyMap<Prefix, ReadonlyMap<NodeId, Answer>> {
    return this.#byAbout.get(node) ?? new Map<Prefix, Map<NodeId, Answer>>();
  }

  subjects(): Iterable<NodeId> {
    return this.#byAbout.keys();
  }

  /** What the store is to remember of one node about another. */
  record(asker: NodeId, about: NodeId, now: Timestamp): KeptRecord {
    const answers: Answer[] = [];
    for (const told of this.about(about).values()) {
      const answer = told.get(asker);
      if (answer && answer.until > now) answers.push(answer);
    }
    if (answers.length > 1) answers.sort((a, b) => a.order - b.order);
    const kept = answers.slice(-mostStored).map((one) => ({
      ...one,
      until: (one.until + (one.until - now) * storedLonger) as Timestamp,
    }));
    return { asker, about, answers: kept };
  }

  /** The record is in the store. */
  stored({ asker, answers }: KeptRecord): void {
    for (const { prefix, order, until } of answers) {
      const answer = this.get(asker, prefix);
      if (answer?.order === order) answer.stored = until;
    }
  }

  /** Some more of those whose time is over go: a part in `parts` of all askers each time. */
  sweep(now: Timestamp, parts: number): void {
    for (let count = Math.ceil(this.#byAsker.size / parts); count > 0; count--) {
      this.#sweep ??= this.#byAsker.entries();
      const next = this.#sweep.next();
      if (next.done) {
        this.#sweep = undefined;
        return;
      }
      for (const answer of [...next.value[1].values()]) if (answer.until <= now) this.delete(answer);
    }
  }
}
