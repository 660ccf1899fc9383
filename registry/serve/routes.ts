import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { concernsSpokes, distributed, isMissing } from '#registry/decide/distribute.ts';
import type { StoreChange } from '#registry/store/port.ts';
import type { RegistryContext } from './context.ts';
import { RouteLog } from './route-log.ts';
import type { Session } from './session.ts';

/** Milliseconds. Changes that come together are sent together. */
const delay = 20;
/** Sessions that are told in one turn of the loop. */
const slice = 100;
/** Routes in no summary, above which the operator is told what they cost. */
const manyRoutes = 1000;

/** Tells the nodes of this replica what others announce, at the cost of what changed. */
export class Routes {
  readonly #context: Pick<RegistryContext, 'store' | 'clock' | 'events'>;
  readonly #open: ReadonlyMap<NodeId, Session>;
  readonly #all = new RouteLog();
  readonly #spokes = new RouteLog();
  /** Prefixes to look at; undefined: all of them. */
  #due: Set<Prefix> | undefined;
  /** Nodes that are missing without a revocation, and what they still lead to. */
  readonly #missing = new Map<NodeId, Set<Prefix>>();
  #timer: NodeJS.Timeout | undefined;
  #next: NodeJS.Immediate | undefined;
  #round = 0;

  constructor(context: Pick<RegistryContext, 'store' | 'clock' | 'events'>, open: ReadonlyMap<NodeId, Session>) {
    this.#context = context;
    this.#open = open;
  }

  changed(changes: readonly StoreChange[]): void {
    for (const change of changes) {
      if (change.kind === 'all' || change.kind === 'overlay') this.#due = undefined;
      else if (change.kind === 'route') this.#due?.add(change.prefix);
      else if (change.kind === 'node' || change.kind === 'revocation') {
        for (const prefix of this.#missing.get(change.id) ?? []) this.#due?.add(prefix);
      }
    }
    if (this.#due?.size === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#tellAll();
    }, delay);
  }

  /** What one node does not know yet. */
  tell(session: Session): void {
    const snapshot = this.#context.store.snapshot();
    const node = snapshot.nodes.get(session.node);
    if (!node || !snapshot.overlay) return;
    // Before the first round nothing is known.
    if (this.#round === 0) this.#update();
    session.syncRoutes(node.role === 'hub' ? this.#all : this.#spokes, snapshot);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#next);
  }

  #tellAll(): void {
    if (!this.#update()) return;
    const round = this.#round;
    const due = [...this.#open.values()];
    const tell = (): void => {
      for (const session of due.splice(0, slice)) this.tell(session);
      if (due.length > 0 && round === this.#round) this.#next = setImmediate(tell);
    };
    tell();
  }

  /** Brings the logs up to date. Returns whether there is news. */
  #update(): boolean {
    const { store, clock } = this.#context;
    const snapshot = store.snapshot();
    if (!snapshot.overlay) return false;
    const now = clock.held();
    const due = this.#due ?? new Set([...this.#all.prefixes(), ...snapshot.routes.prefixes()]);
    this.#due = new Set();
    let news = false;
    for (const prefix of due) {
      const route = distributed(snapshot, prefix, now, this.#all.get(prefix));
      for (const { node } of route?.origins ?? []) if (isMissing(snapshot, node)) this.#miss(node, prefix);
      news = this.#all.put(prefix, route) || news;
      news = this.#spokes.put(prefix, route && concernsSpokes(snapshot, route) ? route : undefined) || news;
    }
    for (const node of this.#missing.keys()) if (!isMissing(snapshot, node)) this.#missing.delete(node);
    this.#round++;
    this.#warn(snapshot.overlay.phase === 2);
    return news;
  }

  #miss(node: NodeId, prefix: Prefix): void {
    const known = this.#missing.get(node);
    if (known) known.add(prefix);
    else this.#missing.set(node, new Set([prefix]));
  }

  #warn(wanted: boolean): void {
    const { events } = this.#context;
    if (wanted || this.#spokes.size <= manyRoutes) {
      events.calm('overlay.many-prefixes', '');
      return;
    }
    const what = `more than ${String(manyRoutes)} announced prefixes are in no summary, and go to every node`;
    events.alarm('overlay.many-prefixes', '', `${what}: add a summary (dmwg overlay set summaries)`);
  }
}
