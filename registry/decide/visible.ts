// What operators and nodes see, as rows of CONTRACT.md's JSON.
import { hostPrefix } from '#proto/model/address.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { isHeld } from './expire.ts';
import {
  addressesOf,
  announcedBy,
  isBehindNat,
  liveBinding,
  multipointOf,
  nbmaOf,
  observedEndpoints,
  reachableBy,
  remaining,
} from './node.ts';
import type { NodeRecord } from './records.ts';
import { formatPolicyRule } from './set-prefix.ts';
import type { Snapshot } from './state.ts';

export interface NodeRow {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly address: string;
  readonly address6: string;
  readonly prefixes: readonly string[];
  readonly endpoints: readonly { readonly address: string; readonly kind: 'claimed' | 'observed' }[];
  readonly registered: boolean;
  /** 0 never. */
  readonly registeredAt: number;
  /** Seconds. */
  readonly expiresIn: number;
  readonly nat: boolean;
  readonly tags: readonly string[];
  readonly agentVersion: string;
  readonly connected: boolean;
  readonly priority: number;
  readonly cluster: number;
  readonly draining: boolean;
  readonly policy: readonly string[];
}

export interface BindingRow {
  readonly prefix: string;
  readonly node: string;
  readonly address: string;
  readonly nbma: readonly string[];
  readonly type: 'dynamic';
  readonly flags: readonly string[];
  readonly created: number;
  /** Seconds. */
  readonly expiresIn: number;
}

/** Hubs first, then by name. */
export function nodeRows(snapshot: Snapshot, now: Timestamp): NodeRow[] {
  return sortedNodes(snapshot).map((node) => nodeRow(snapshot, node, now));
}

function nodeRow(snapshot: Snapshot, node: NodeRecord, now: Timestamp): NodeRow {
  const binding = snapshot.bindings.get(node.id);
  const claimed = new Set([...node.endpoints, ...(multipointOf(binding)?.endpoints ?? [])]);
  const observed = binding ? observedEndpoints(binding) : [];
  const left = binding ? remaining(binding, now) : 0;
  return {
    id: node.id,
    name: node.name,
    role: node.role,
    address: node.address,
    address6: node.address6 ?? '',
    prefixes: binding ? announcedBy(binding) : node.prefixes,
    endpoints: [
      ...[...claimed].map((address) => ({ address, kind: 'claimed' }) as const),
      ...observed.map((address) => ({ address, kind: 'observed' }) as const),
    ],
    registered: left > 0,
    registeredAt: binding?.registeredAt ?? 0,
    expiresIn: left,
    nat: binding ? isBehindNat(binding) : false,
    tags: node.tags,
    agentVersion: binding?.agentVersion ?? '',
    connected: isHeld(snapshot, node.id),
    priority: node.priority,
    cluster: node.cluster,
    draining: node.draining,
    policy: node.policy.map(formatPolicyRule),
  };
}

export function bindingRows(snapshot: Snapshot, now: Timestamp): BindingRow[] {
  const rows = sortedNodes(snapshot).flatMap((node): BindingRow[] => {
    const binding = liveBinding(snapshot, node.id, now);
    if (!binding) return [];
    const shared = [...(isBehindNat(binding) ? ['nat'] : []), ...(isHeld(snapshot, node.id) ? ['used'] : [])];
    const own = new Set(addressesOf(node).map(hostPrefix));
    return reachableBy(node, binding).map((prefix) => ({
      prefix,
      node: node.name,
      address: node.address,
      nbma: nbmaOf(node, binding),
      type: 'dynamic',
      flags: [...(binding.unique && own.has(prefix) ? ['unique'] : []), 'registered', ...shared],
      created: binding.registeredAt,
      expiresIn: remaining(binding, now),
    }));
  });
  return rows;
}

function sortedNodes(snapshot: Snapshot): NodeRecord[] {
  return [...snapshot.nodes.values()].sort((a, b) =>
    a.role === b.role ? (a.name < b.name ? -1 : 1) : a.role === 'hub' ? -1 : 1,
  );
}
