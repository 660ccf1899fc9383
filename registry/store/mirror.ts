// The store's content in memory, with its indexes. Pure: changes in, what they touched out. A change costs what it touches,
// however many nodes there are.
import type {
  BindingRecord,
  ClearRecord,
  NodeRecord,
  OverlayRecord,
  ReplicaRecord,
  RevocationRecord,
  SessionRecord,
  TokenRecord,
} from '#registry/decide/records.ts';
import { RouteTable } from '#registry/decide/route-table.ts';
import type { Address, Prefix } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId, NodeName } from '#proto/model/names.ts';
import { type Contribution, contribution, nothing, sameCandidate } from './contribution.ts';
import { Ownership } from './ownership.ts';
import type { Put, Snapshot, StoreChange } from './port.ts';

/** `put` is undefined for a record that cannot be read: it is known to exist, and not in the snapshot. */
export type MirrorChange =
  | { readonly kind: 'put'; readonly key: string; readonly revision: bigint; readonly put: Put | undefined }
  | { readonly kind: 'delete'; readonly key: string };

/** What etcd has under a key. */
export interface MirrorEntry {
  /** The revision at which it was written. */
  readonly revision: bigint;
  readonly put: Put | undefined;
}

export class Mirror {
  readonly #entries = new Map<string, MirrorEntry>();
  readonly #nodes = new Map<NodeId, NodeRecord>();
  readonly #bindings = new Map<NodeId, BindingRecord>();
  readonly #tokens = new Map<string, TokenRecord>();
  readonly #revoked = new Map<NodeId, RevocationRecord>();
  readonly #clears = new Map<string, ClearRecord>();
  readonly #sessions = new Map<NodeId, SessionRecord>();
  readonly #replicas = new Map<string, ReplicaRecord>();
  readonly #claimedAddresses = new Map<Address, NodeId>();
  readonly #claimedPrefixes = new Map<Prefix, NodeId>();
  readonly #nodeByName = new Map<NodeName, NodeId>();
  readonly #nodeByKey = new Map<PublicKey, NodeId>();
  readonly #routes = new RouteTable();

  readonly #names = new Ownership<NodeName>(this.#nodeByName);
  readonly #keys = new Ownership<PublicKey>(this.#nodeByKey);
  readonly #contributions = new Map<NodeId, Contribution>();

  #overlay: OverlayRecord | undefined;
  #revision = 0n;
  /** A new object after every batch; its maps are shared and live. */
  #snapshot: Snapshot = this.#publish();

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  entry(key: string): MirrorEntry | undefined {
    return this.#entries.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** Applies one batch, in its order. Returns what it touched, each thing once. */
  apply(changes: readonly MirrorChange[], revision: bigint): StoreChange[] {
    const touched = new Map<string, StoreChange>();
    const nodes = new Set<NodeId>();
    for (const change of changes) {
      const old = this.#entries.get(change.key)?.put;
      const put = change.kind === 'put' ? change.put : undefined;
      if (change.kind === 'put') this.#entries.set(change.key, { revision: change.revision, put });
      else this.#entries.delete(change.key);
      // One key never changes its kind: the codec refuses a record under another's key.
      const known = put ?? old;
      if (known === undefined) continue;
      if (put === undefined) this.#take(known);
      else this.#place(put);
      const touch = touchOf(known);
      touched.set(`${touch.kind} ${'id' in touch ? touch.id : ''}`, touch);
      if (put !== undefined && old !== undefined && 'node' in put && 'node' in old && put.node !== old.node) {
        touched.set(`node ${old.node}`, { kind: 'node', id: old.node });
      }
      if (touch.kind === 'node' || touch.kind === 'binding') nodes.add(touch.id);
    }
    for (const id of nodes) {
      for (const prefix of this.#index(id)) touched.set(`route ${prefix}`, { kind: 'route', prefix });
    }
    this.#revision = revision;
    this.#snapshot = this.#publish();
    return [...touched.values()];
  }

  #place(put: Put): void {
    switch (put.kind) {
      case 'overlay':
        this.#overlay = put.record;
        break;
      case 'node':
        this.#nodes.set(put.record.id, put.record);
        break;
      case 'binding':
        this.#bindings.set(put.record.node, put.record);
        break;
      case 'token':
        this.#tokens.set(put.record.id, put.record);
        break;
      case 'revocation':
        this.#revoked.set(put.record.node, put.record);
        break;
      case 'clear':
        this.#clears.set(put.record.id, put.record);
        break;
      case 'session':
        this.#sessions.set(put.record.node, put.record);
        break;
      case 'replica':
        this.#replicas.set(put.record.id, put.record);
        break;
      case 'claim-address':
        this.#claimedAddresses.set(put.address, put.node);
        break;
      case 'claim-prefix':
        this.#claimedPrefixes.set(put.prefix, put.node);
        break;
      case 'claim-name':
      case 'claim-key':
        break;
    }
  }

  #take(old: Put): void {
    switch (old.kind) {
      case 'overlay':
        this.#overlay = undefined;
        break;
      case 'node':
        this.#nodes.delete(old.record.id);
        break;
      case 'binding':
        this.#bindings.delete(old.record.node);
        break;
      case 'token':
        this.#tokens.delete(old.record.id);
        break;
      case 'revocation':
        this.#revoked.delete(old.record.node);
        break;
      case 'clear':
        this.#clears.delete(old.record.id);
        break;
      case 'session':
        this.#sessions.delete(old.record.node);
        break;
      case 'replica':
        this.#replicas.delete(old.record.id);
        break;
      case 'claim-address':
        this.#claimedAddresses.delete(old.address);
        break;
      case 'claim-prefix':
        this.#claimedPrefixes.delete(old.prefix);
        break;
      case 'claim-name':
      case 'claim-key':
        break;
    }
  }

  /** Brings the indexes up to date with one node's records. Returns the prefixes to which something changed. */
  #index(id: NodeId): Prefix[] {
    const node = this.#nodes.get(id);
    const before = this.#contributions.get(id) ?? nothing;
    const after = node === undefined ? nothing : contribution(node, this.#bindings.get(id));
    this.#names.move(id, before.names, after.names);
    this.#keys.move(id, before.keys, after.keys);
    const moved = this.#moveRoutes(id, before.routes, after.routes);
    if (node === undefined) this.#contributions.delete(id);
    else this.#contributions.set(id, after);
    return moved;
  }

  #moveRoutes(id: NodeId, from: Contribution['routes'], to: Contribution['routes']): Prefix[] {
    const moved: Prefix[] = [];
    for (const prefix of from.keys()) {
      if (to.has(prefix)) continue;
      this.#routes.remove(prefix, id);
      moved.push(prefix);
    }
    for (const [prefix, candidate] of to) {
      const old = from.get(prefix);
      if (old && sameCandidate(old, candidate)) continue;
      this.#routes.put(prefix, candidate);
      moved.push(prefix);
    }
    return moved;
  }

  #publish(): Snapshot {
    return {
      revision: this.#revision,
      overlay: this.#overlay,
      nodes: this.#nodes,
      bindings: this.#bindings,
      tokens: this.#tokens,
      revoked: this.#revoked,
      clears: this.#clears,
      sessions: this.#sessions,
      replicas: this.#replicas,
      nodeByName: this.#nodeByName,
      nodeByKey: this.#nodeByKey,
      claimedAddresses: this.#claimedAddresses,
      claimedPrefixes: this.#claimedPrefixes,
      routes: this.#routes,
    };
  }
}

/** A claim counts as its node. */
function touchOf(put: Put): StoreChange {
  switch (put.kind) {
    case 'overlay':
      return { kind: 'overlay' };
    case 'node':
      return { kind: 'node', id: put.record.id };
    case 'binding':
    case 'revocation':
    case 'session':
      return { kind: put.kind, id: put.record.node };
    case 'token':
    case 'clear':
    case 'replica':
      return { kind: put.kind, id: put.record.id };
    default:
      return { kind: 'node', id: put.node };
  }
}
