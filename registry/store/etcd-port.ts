// What the store needs of etcd, in the store's own words. Every call has a deadline of its own and makes one attempt; a
// call that fails throws EtcdError.

export interface EtcdCredentials {
  /** PEM. */
  readonly ca: Buffer;
  /** For a cluster that asks for it. */
  readonly client: { readonly certificate: Buffer; readonly key: Buffer } | undefined;
}

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** The revision that wrote it. */
  readonly revision: bigint;
}

/** Everything under a prefix, as it was at one revision. */
export interface Listing {
  readonly cluster: string;
  readonly revision: bigint;
  readonly entries: readonly Entry[];
}

export type EtcdEvent =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly revision: bigint }
  | { readonly kind: 'delete'; readonly key: string; readonly revision: bigint };

export interface EtcdTransaction {
  /** The revision that each key must have; 0n: it must be absent. */
  readonly compare: readonly { readonly key: string; readonly revision: bigint }[];
  readonly put: readonly { readonly key: string; readonly value: string; readonly lease: string | undefined }[];
  readonly delete: readonly string[];
}

export type EtcdOutcome =
  /** `changed`: whether anything was written or deleted, so that `revision` is this transaction's own. */
  | { readonly applied: true; readonly revision: bigint; readonly changed: boolean }
  /** What the compared keys and the first written one hold; a key that is not here is absent. */
  | { readonly applied: false; readonly found: readonly Entry[] };

export interface WatchHandlers {
  /** The store's state as the serving member knows it, before any event. */
  opened(cluster: string, revision: bigint): void;
  /** One or more whole revisions, in order. */
  events(events: readonly EtcdEvent[]): void;
  /** Once, unless the watch was stopped. "compacted": events are lost. "broken": go on from the last one seen. */
  ended(reason: 'compacted' | 'broken', message: string): void;
}

export interface KeepAliveHandlers {
  alive(): void;
  /** Once, unless it was stopped. "lost": the lease and its keys are gone. */
  ended(reason: 'lost' | 'broken', message: string): void;
}

export interface Etcd {
  list(prefix: string): Promise<Listing>;
  transact(transaction: EtcdTransaction): Promise<EtcdOutcome>;
  /** Begins with the events of revision `from`. Returns the function that stops it. */
  watch(prefix: string, from: bigint, handlers: WatchHandlers): () => void;
  /** `ttl` in seconds. */
  grantLease(ttl: number): Promise<string>;
  /** Renews at once and then every `interval` milliseconds. Returns the function that stops it. */
  keepAlive(lease: string, interval: number, handlers: KeepAliveHandlers): () => void;
  revokeLease(lease: string): Promise<void>;
  close(): void;
}

export class EtcdError extends Error {
  /** "transient": try again; nothing is known of a write's outcome. "no-lease": the lease is gone, nothing was written. */
  readonly kind: 'transient' | 'no-lease' | 'refused';

  constructor(kind: EtcdError['kind'], message: string) {
    super(message);
    this.name = 'EtcdError';
    this.kind = kind;
  }
}
