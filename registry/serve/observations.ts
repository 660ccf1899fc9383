import { errorText } from '#proto/kit/errors.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { ObservedEndpoint } from '#proto/model/session.ts';
import { observe } from '#registry/decide/observe.ts';
import type { RegistryContext } from './context.ts';
import { touchedNodes } from './sessions.ts';

/** Keys of one hub that are remembered: two a node, and some. The oldest go. */
const mostReports = 50_000;

/**
 * What the hubs of this replica's sessions see. A hub says only what changed, so its reports are kept for as long as its
 * session: they are written when etcd is back, and again when a node registers anew.
 */
export class Observations {
  readonly #context: Pick<RegistryContext, 'store' | 'log'>;
  readonly #reports = new Map<NodeId, Map<PublicKey, Endpoint>>();
  /** What may differ from the store. */
  readonly #due = new Map<NodeId, Set<PublicKey>>();
  readonly #unsubscribe: () => void;
  #writing = false;

  constructor(context: Pick<RegistryContext, 'store' | 'log'>) {
    this.#context = context;
    this.#unsubscribe = context.store.onChange((changes) => {
      const nodes = touchedNodes(changes);
      if (this.#reports.size > 0 && nodes?.size !== 0) this.#recheck(nodes);
    });
  }

  /** Of a node that is no hub nothing is kept. */
  report(hub: NodeId, endpoints: readonly ObservedEndpoint[]): void {
    if (this.#context.store.snapshot().nodes.get(hub)?.role !== 'hub') return;
    const reports = this.#reports.get(hub) ?? new Map<PublicKey, Endpoint>();
    this.#reports.set(hub, reports);
    for (const { publicKey, endpoint } of endpoints) {
      reports.delete(publicKey);
      reports.set(publicKey, endpoint);
      const oldest = reports.keys().next().value;
      if (reports.size > mostReports && oldest !== undefined) reports.delete(oldest);
      this.#mark(hub, publicKey);
    }
    this.flush();
  }

  /** The session of the hub is over: it reports everything in its next one. */
  forget(hub: NodeId): void {
    this.#reports.delete(hub);
    this.#due.delete(hub);
  }

  /** Writes what is due, if the store is at hand; else a later call does. */
  flush(): void {
    if (this.#writing || this.#due.size === 0) return;
    this.#writing = true;
    this.#write()
      .catch((error: unknown) => {
        this.#context.log.error({ error: errorText(error) }, 'writing observed endpoints failed');
      })
      .finally(() => {
        this.#writing = false;
      });
  }

  stop(): void {
    this.#unsubscribe();
    this.#due.clear();
  }

  #recheck(nodes: ReadonlySet<NodeId> | undefined): void {
    const { bindings } = this.#context.store.snapshot();
    for (const id of nodes ?? bindings.keys()) {
      const binding = bindings.get(id);
      for (const { publicKey } of binding?.interfaces ?? []) {
        for (const [hub, reports] of this.#reports) {
          const reported = reports.get(publicKey);
          if (reported === undefined) continue;
          const known = binding?.observed.find((one) => one.publicKey === publicKey && one.hub === hub);
          if (known?.endpoint !== reported) this.#mark(hub, publicKey);
        }
      }
    }
    this.flush();
  }

  async #write(): Promise<void> {
    const { store } = this.#context;
    for (let next = this.#take(); next; next = this.#take()) {
      const { hub, publicKey, endpoint } = next;
      const snapshot = store.snapshot();
      const node = snapshot.nodes.get(hub);
      const [transaction] = node ? observe(snapshot, node, [{ publicKey, endpoint }]) : [];
      if (!transaction) continue;
      const committed = await store.commit(transaction);
      if (committed.ok || !this.#reports.has(hub)) continue;
      this.#mark(hub, publicKey);
      if (committed.fault.code !== 'conflict') return;
    }
  }

  #take(): { readonly hub: NodeId; readonly publicKey: PublicKey; readonly endpoint: Endpoint } | undefined {
    for (const [hub, keys] of this.#due) {
      for (const publicKey of keys) {
        keys.delete(publicKey);
        if (keys.size === 0) this.#due.delete(hub);
        const endpoint = this.#reports.get(hub)?.get(publicKey);
        if (endpoint !== undefined) return { hub, publicKey, endpoint };
      }
    }
    return undefined;
  }

  #mark(hub: NodeId, publicKey: PublicKey): void {
    const keys = this.#due.get(hub) ?? new Set<PublicKey>();
    this.#due.set(hub, keys);
    keys.add(publicKey);
  }
}
