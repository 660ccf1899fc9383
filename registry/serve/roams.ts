import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { type Instant, type Milliseconds, milliseconds } from '#proto/model/time.ts';
import { placeOf, reintroduce } from '#registry/decide/reintroduce.ts';
import type { Snapshot } from '#registry/decide/state.ts';
import type { StoreChange } from '#registry/store/port.ts';
import type { Answers } from './answers.ts';
import type { RegistryContext } from './context.ts';
import { type Sessions, touchedNodes } from './sessions.ts';

/** Milliseconds between two tellings of one node's moves: more with each, as long as it does not rest. */
const firstGap = 200;
const longestGap = 30_000;
const restAfter = 60_000;
/** Messages in one turn of the loop. */
const slice = 100;

export interface RoamParts {
  readonly context: Pick<RegistryContext, 'store' | 'clock'>;
  readonly sessions: Pick<Sessions, 'open' | 'measure' | 'deliverHere'>;
  readonly answers: Pick<Answers, 'holdersOf' | 'heldBy' | 'introduce'>;
}

interface Moves {
  readonly at: Instant;
  readonly count: number;
}

/**
 * A node that is reached at another place is still who it was: nothing is purged. Whoever was told about it, and it itself of whom it was
 * told about, hears of the other end anew. Each replica tells the nodes with a session here.
 */
export class Roams {
  readonly #parts: RoamParts;
  readonly #places = new Map<NodeId, string>();
  readonly #moves = new Map<NodeId, Moves>();
  readonly #due = new Set<NodeId>();
  readonly #unsubscribe: () => void;
  #nextId = 1;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: RoamParts) {
    const { store } = parts.context;
    this.#parts = parts;
    this.#compare(store.snapshot(), undefined);
    this.#unsubscribe = store.onChange((changes) => {
      this.#changed(changes);
    });
  }

  stop(): void {
    this.#unsubscribe();
    clearTimeout(this.#timer);
    this.#due.clear();
  }

  #changed(changes: readonly StoreChange[]): void {
    const nodes = touchedNodes(changes);
    if (nodes?.size === 0) return;
    for (const id of this.#compare(this.#parts.context.store.snapshot(), nodes)) this.#due.add(id);
    if (this.#due.size > 0) this.#timer ??= setTimeout(this.#tellDue.bind(this), 0);
  }

  /** Takes note of where nodes are. Returns those that were elsewhere before. */
  #compare(snapshot: Snapshot, ids: Iterable<NodeId> | undefined): NodeId[] {
    const moved: NodeId[] = [];
    for (const id of ids ?? new Set([...snapshot.bindings.keys(), ...this.#places.keys()])) {
      const node = snapshot.nodes.get(id);
      const binding = snapshot.bindings.get(id);
      const place = node && binding && placeOf(node, binding);
      const before = this.#places.get(id);
      if (place === undefined) this.#places.delete(id);
      else this.#places.set(id, place);
      if (place !== undefined && before !== undefined && place !== before) moved.push(id);
    }
    return moved;
  }

  #tellDue(): void {
    this.#timer = undefined;
    const now = this.#parts.context.clock.now();
    for (const [id, { at }] of this.#moves) if (now - at > restAfter) this.#moves.delete(id);
    let next = Infinity;
    for (const id of this.#due) {
      const { at, count } = this.#moves.get(id) ?? { at: 0 as Instant, count: 0 };
      const wait = count === 0 ? 0 : at + Math.min(firstGap * 2 ** (count - 1), longestGap) - now;
      if (wait > 0) {
        next = Math.min(next, wait);
        continue;
      }
      this.#due.delete(id);
      this.#moves.set(id, { at: now, count: count + 1 });
      void this.#tell(id);
    }
    if (this.#due.size > 0) this.#timer = setTimeout(this.#tellDue.bind(this), next).unref();
  }

  async #tell(moved: NodeId): Promise<void> {
    const { sessions, answers } = this.#parts;
    const rtt = (await sessions.measure(moved)) ?? milliseconds(0);
    let count = 0;
    for (const { asker, prefix } of answers.holdersOf(moved)) {
      this.#introduce({ to: asker, about: moved, prefix }, rtt);
      if (++count % slice === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (!sessions.open.has(moved)) return;
    for (const { about, prefix } of answers.heldBy(moved)) {
      const other = (await sessions.measure(about)) ?? milliseconds(0);
      this.#introduce({ to: moved, about, prefix }, other);
    }
  }

  /** `rtt`: of the node that it is about. */
  #introduce({ to, about, prefix }: Introduction, rtt: Milliseconds): void {
    const { context, sessions, answers } = this.#parts;
    const snapshot = context.store.snapshot();
    const [one, other] = [snapshot.nodes.get(to), snapshot.nodes.get(about)];
    if (!one || !other) return;
    const own = sessions.open.get(to)?.meter.rtt ?? milliseconds(0);
    const message = reintroduce(snapshot, {
      to: { node: one, rtt: own },
      about: { node: other, rtt },
      prefix,
      requestId: (this.#nextId = (this.#nextId + 1) >>> 0),
      now: context.clock.held(),
    });
    if (message && sessions.deliverHere(to, message)) answers.introduce(to, prefix, about);
  }
}

interface Introduction {
  readonly to: NodeId;
  readonly about: NodeId;
  readonly prefix: Prefix;
}
