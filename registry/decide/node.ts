// The deciders of the registry: pure, synchronous and total functions of a snapshot, a request and the time. They import
// proto/model and each other, nothing else. What a request may not do comes back as a Fault, a NAK code or an error
// indication; they never throw. This file: what every decider asks about one node.
import { type Address, type Family, familyOf, hostPrefix, lengthOf, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, endpointAddress } from '#proto/model/endpoint.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { NodeInterface } from '#proto/model/nhrp.ts';
import { type Seconds, seconds, type Timestamp } from '#proto/model/time.ts';
import type { BindingRecord, NodeRecord } from './records.ts';
import type { Snapshot, Transaction } from './state.ts';

/** A transaction with only what is given. */
export function transaction(parts: Partial<Transaction>): Transaction {
  return {
    absent: parts.absent ?? [],
    unchanged: parts.unchanged ?? [],
    put: parts.put ?? [],
    delete: parts.delete ?? [],
  };
}

export function addressesOf(node: NodeRecord): Address[] {
  return node.address6 === undefined ? [node.address] : [node.address, node.address6];
}

/** The node's own address of this family; its other one when it has none. */
export function addressFor(node: NodeRecord, family: Family): Address {
  return addressesOf(node).find((address) => familyOf(address) === family) ?? node.address;
}

export function multipointOf(binding: BindingRecord | undefined): NodeInterface | undefined {
  return binding?.interfaces.find((one) => one.kind === 'multipoint');
}

/** Seconds that the binding still holds: all of the holding time while the session is open, 0 when it is over. */
export function remaining(binding: BindingRecord, now: Timestamp): Seconds {
  if (binding.lostAt === undefined) return binding.holdingTime;
  const gone = Math.max(0, now - binding.lostAt) / 1000;
  return seconds(Math.max(0, Math.ceil(binding.holdingTime - gone)));
}

/** The node's binding, if it still holds. */
export function liveBinding(snapshot: Snapshot, node: NodeId, now: Timestamp): BindingRecord | undefined {
  const binding = snapshot.bindings.get(node);
  return binding && remaining(binding, now) > 0 ? binding : undefined;
}

/** Where hubs see the node's multipoint interface, the latest report first. */
export function observedEndpoints(binding: BindingRecord): Endpoint[] {
  const key = multipointOf(binding)?.publicKey;
  return [...new Set(binding.observed.filter((one) => one.publicKey === key).map((one) => one.endpoint))];
}

/** Every known endpoint of the node's multipoint interface, most likely to work from afar first. */
export function nbmaOf(node: NodeRecord, binding: BindingRecord): Endpoint[] {
  const claimed = multipointOf(binding)?.endpoints ?? [];
  return [...new Set([...node.endpoints, ...observedEndpoints(binding), ...claimed])];
}

/** Whether hubs see the node at an IPv4 address that is not its own. */
export function isBehindNat(binding: BindingRecord): boolean {
  const own = new Set((multipointOf(binding)?.endpoints ?? []).map((endpoint) => endpointAddress(endpoint)));
  return observedEndpoints(binding).some((endpoint) => {
    const address = endpointAddress(endpoint);
    return familyOf(address) === 4 && !own.has(address);
  });
}

/** What leads to the node: its addresses as host prefixes, then its announced prefixes. */
export function reachableBy(node: NodeRecord, binding: BindingRecord | undefined): Prefix[] {
  return [...addressesOf(node).map(hostPrefix), ...announcedBy(binding)];
}

/** Where its rules allow it to announce something, default routes apart. */
export function allowedBy({ policy }: NodeRecord): Prefix[] {
  return policy.flatMap(({ action, prefix }) => (action === 'allow' && lengthOf(prefix) > 1 ? [prefix] : []));
}

export function announcedBy(binding: BindingRecord | undefined): Prefix[] {
  return binding?.announcements.map(({ prefix }) => prefix) ?? [];
}

/** Nodes from the best to the worst hub: by priority, then by id. */
export function hubsOf(snapshot: Snapshot): NodeRecord[] {
  return [...snapshot.nodes.values()]
    .filter((node) => node.role === 'hub')
    .sort((a, b) => a.priority - b.priority || (a.id < b.id ? -1 : 1));
}
