import type { BindingRecord, NodeRecord } from '#registry/decide/records.ts';
import type { Candidate } from '#registry/decide/route-table.ts';
import { hostPrefix, type Prefix } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeName } from '#proto/model/names.ts';

export interface Contribution {
  readonly names: readonly NodeName[];
  readonly keys: readonly PublicKey[];
  readonly routes: ReadonlyMap<Prefix, Candidate>;
}

export const nothing: Contribution = { names: [], keys: [], routes: new Map() };

/** What a node adds to the indexes. Without a binding it has a name and nothing else; without a record, nothing. */
export function contribution(node: NodeRecord, binding: BindingRecord | undefined): Contribution {
  if (binding === undefined) return { ...nothing, names: [node.name] };
  const addresses = node.address6 === undefined ? [node.address] : [node.address, node.address6];
  const lost = binding.lostAt !== undefined;
  const routes = new Map<Prefix, Candidate>();
  for (const { prefix, preference, since } of binding.announcements) {
    routes.set(prefix, { node: node.id, preference, since, lost });
  }
  for (const address of addresses) {
    routes.set(hostPrefix(address), { node: node.id, preference: 0, since: binding.registeredAt, lost });
  }
  return { names: [node.name], keys: binding.interfaces.map((each) => each.publicKey), routes };
}

export function sameCandidate(a: Candidate, b: Candidate): boolean {
  return a.preference === b.preference && a.since === b.since && a.lost === b.lost;
}
