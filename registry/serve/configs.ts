import type { NodeId } from '#proto/model/names.ts';
import { type CommonConfig, commonConfig, concernsAll } from '#registry/decide/overlay-config.ts';
import type { RegistryContext } from './context.ts';
import type { Session } from './session.ts';

/** Milliseconds. Configuration goes to everybody: changes that come together are sent together, more of them when it is much. */
const configDelay = 20;
const longestConfigDelay = 5000;
/** Prefixes that are told, over all sessions, in a millisecond. */
const toldPerMillisecond = 10_000;
/** Sessions that get their configuration in one turn of the loop. */
const slice = 100;

/** Sends the nodes of this replica their configuration when it changes, at the cost of what changed. */
export class Configs {
  readonly #context: Pick<RegistryContext, 'store'>;
  readonly #open: ReadonlyMap<NodeId, Session>;
  #common: CommonConfig | undefined;
  /** #common is as the store says. */
  #fresh = false;
  /** What all sessions were told last. */
  #told: CommonConfig | undefined;
  /** Nodes whose own part may have changed. */
  readonly #due = new Set<NodeId>();
  #timer: NodeJS.Timeout | undefined;
  #next: NodeJS.Immediate | undefined;

  constructor(context: Pick<RegistryContext, 'store'>, open: ReadonlyMap<NodeId, Session>) {
    this.#context = context;
    this.#open = open;
  }

  /** Something of these nodes changed; undefined: anything. */
  changed(ids: ReadonlySet<NodeId> | undefined): void {
    const snapshot = this.#context.store.snapshot();
    const common = this.#common;
    if (!ids || !common || [...ids].some((id) => concernsAll(common, snapshot, id))) this.#fresh = false;
    for (const id of ids ?? this.#open.keys()) this.#due.add(id);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#send();
    }, this.#delay());
  }

  /** What is the same for all: the same object as before as long as nothing in it can have changed. */
  common(): CommonConfig | undefined {
    const { store } = this.#context;
    const snapshot = store.snapshot();
    if (!snapshot.overlay) return undefined;
    if (this.#common && this.#fresh) return this.#common;
    const common = commonConfig(snapshot, snapshot.overlay);
    this.#fresh = true;
    this.#common = common;
    return common;
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#next);
  }

  /** To everybody, in slices, if what is the same for all changed; else to those whose own part did. */
  #send(): void {
    const common = this.common();
    if (!common) return;
    const again = common === this.#told;
    // Those that a newer configuration overtook are among all.
    const due = again ? [...pick(this.#open, this.#due)] : [...this.#open.values()];
    this.#told = common;
    this.#due.clear();
    const send = (): void => {
      const { nodes } = this.#context.store.snapshot();
      for (const session of due.splice(0, slice)) {
        const node = nodes.get(session.node);
        if (node) session.syncConfig(common, node);
      }
      if (due.length > 0 && common === this.#told) this.#next = setImmediate(send);
    };
    send();
  }

  #delay(): number {
    const told = (this.#common?.summaries.length ?? 0) * this.#open.size;
    return Math.min(longestConfigDelay, configDelay + told / toldPerMillisecond);
  }
}

/** The sessions of these nodes, of those that are open. */
export function* pick(open: ReadonlyMap<NodeId, Session>, ids: Iterable<NodeId>): Iterable<Session> {
  for (const id of ids) {
    const session = open.get(id);
    if (session) yield session;
  }
}
