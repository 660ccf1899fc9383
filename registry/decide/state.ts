// What deciders read and what they ask for: the registry's state as one immutable value, and the change of it as data.
import type { Address, Prefix } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId, NodeName } from '#proto/model/names.ts';
import type {
  BindingRecord,
  ClearRecord,
  NodeRecord,
  OverlayRecord,
  ReplicaRecord,
  RevocationRecord,
  SessionRecord,
  TokenRecord,
} from './records.ts';
import type { Routes } from './route-table.ts';

/** The last known state of etcd. Read-only; stays as it is while etcd is away. */
export interface Snapshot {
  readonly revision: bigint;
  readonly overlay: OverlayRecord | undefined;
  readonly nodes: ReadonlyMap<NodeId, NodeRecord>;
  readonly bindings: ReadonlyMap<NodeId, BindingRecord>;
  readonly tokens: ReadonlyMap<string, TokenRecord>;
  readonly revoked: ReadonlyMap<NodeId, RevocationRecord>;
  readonly clears: ReadonlyMap<string, ClearRecord>;
  readonly sessions: ReadonlyMap<NodeId, SessionRecord>;
  readonly replicas: ReadonlyMap<string, ReplicaRecord>;
  /** Indexes of the above. */
  readonly nodeByName: ReadonlyMap<NodeName, NodeId>;
  readonly nodeByKey: ReadonlyMap<PublicKey, NodeId>;
  readonly claimedAddresses: ReadonlyMap<Address, NodeId>;
  readonly claimedPrefixes: ReadonlyMap<Prefix, NodeId>;
  /** Registered prefixes and node addresses (/32, /128), with all nodes that lead there. */
  readonly routes: Routes;
}

/** A thing in the store. `claim-*` keys exist for uniqueness: their creation is the transaction's condition. */
export type Key =
  | { readonly kind: 'overlay' }
  | { readonly kind: 'node'; readonly id: NodeId }
  | { readonly kind: 'binding'; readonly id: NodeId }
  | { readonly kind: 'token'; readonly id: string }
  | { readonly kind: 'revocation'; readonly id: NodeId }
  | { readonly kind: 'clear'; readonly id: string }
  | { readonly kind: 'session'; readonly id: NodeId }
  | { readonly kind: 'replica'; readonly id: string }
  | { readonly kind: 'claim-name'; readonly name: NodeName }
  | { readonly kind: 'claim-address'; readonly address: Address }
  | { readonly kind: 'claim-prefix'; readonly prefix: Prefix }
  | { readonly kind: 'claim-key'; readonly publicKey: PublicKey };

export type Put =
  | { readonly kind: 'overlay'; readonly record: OverlayRecord }
  | { readonly kind: 'node'; readonly record: NodeRecord }
  | { readonly kind: 'binding'; readonly record: BindingRecord }
  | { readonly kind: 'token'; readonly record: TokenRecord }
  | { readonly kind: 'revocation'; readonly record: RevocationRecord }
  | { readonly kind: 'clear'; readonly record: ClearRecord }
  /** Bound to this replica's lease. */
  | { readonly kind: 'session'; readonly record: SessionRecord }
  | { readonly kind: 'replica'; readonly record: ReplicaRecord }
  | { readonly kind: 'claim-name'; readonly name: NodeName; readonly node: NodeId }
  | { readonly kind: 'claim-address'; readonly address: Address; readonly node: NodeId }
  | { readonly kind: 'claim-prefix'; readonly prefix: Prefix; readonly node: NodeId }
  | { readonly kind: 'claim-key'; readonly publicKey: PublicKey; readonly node: NodeId };

export interface Transaction {
  /** All must be absent. */
  readonly absent: readonly Key[];
  /** All must be as the current snapshot has them (same mod revision; absent stays absent). */
  readonly unchanged: readonly Key[];
  readonly put: readonly Put[];
  readonly delete: readonly Key[];
}
