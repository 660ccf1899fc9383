// Which prefixes a node may announce. Its own rules first, the most specific one that matches, `deny` before `allow`, then the one for fewer lengths; without one,
// what its token allowed at enrolment.
import {
  type Address,
  containsAddress,
  containsPrefix,
  lengthOf,
  networkOf,
  overlaps,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import { type Endpoint, endpointAddress, parseEndpoint } from '#proto/model/endpoint.ts';
import type { NodeId } from '#proto/model/names.ts';
import { cieCode } from '#proto/model/nhrp.ts';
import { formatPrefixRule, matchesPrefixRule } from '#proto/model/prefix-list.ts';
import { hubsOf, observedEndpoints } from './node.ts';
import type { NodeRecord, PolicyRule } from './records.ts';
import type { Snapshot } from './state.ts';

/** A CIE code (RFC 2332 5.2.4), and why in words. */
export interface Refusal {
  readonly code: number;
  readonly reason: string;
}

interface Permission {
  /** What the rule, or the token, says. */
  readonly around: Prefix;
  /** It names the prefix itself, or a default route. */
  readonly explicit: boolean;
  /** Other nodes with such a permission may announce the same prefix. */
  readonly shared: boolean;
}

/** What must stay outside of every announced prefix, or a tunnel would run through itself. Made once for many prefixes. */
export interface Outside {
  readonly address: Address;
  readonly what: string;
  /** A rule that names the prefix allows it all the same. */
  readonly unlessNamed: boolean;
}

export function outsideOf(snapshot: Snapshot, node: NodeRecord): Outside[] {
  const binding = snapshot.bindings.get(node.id);
  const of = (endpoints: readonly Endpoint[], what: string): Outside[] =>
    endpoints.map((endpoint) => ({ address: endpointAddress(endpoint), what, unlessNamed: false }));
  return [
    ...of([...node.endpoints, ...(binding ? observedEndpoints(binding) : [])], "the node's own endpoint"),
    ...hubsOf(snapshot).flatMap((hub) => of(hub.endpoints, `the endpoint of the hub ${hub.name}`)),
    ...registriesOf(snapshot).map((address) => ({ address, what: 'the address of the registry', unlessNamed: true })),
  ];
}

/** As far as they are addresses, and no names. */
function registriesOf({ replicas }: Snapshot): Address[] {
  const places = [...replicas.values()].flatMap((one) => [
    ...(one.public ? [one.public.address] : []),
    ...(one.joinedAt ?? []),
  ]);
  return [...new Set(places)].flatMap((place) => {
    const endpoint = parseEndpoint(place);
    return endpoint.ok ? [endpointAddress(endpoint.value)] : [];
  });
}

/** Undefined: it may. */
export function refusalOf(
  snapshot: Snapshot,
  node: NodeRecord,
  prefix: Prefix,
  outside: readonly Outside[],
): Refusal | undefined {
  const permission = permissionOf(node, prefix);
  if (typeof permission === 'string') return prohibited(permission);
  if (lengthOf(prefix) <= 1) {
    return permission.explicit ? shareOrRefuse(snapshot, node, prefix, permission) : prohibited(needsOwnRule(prefix));
  }
  const { overlay } = snapshot;
  if (overlay && overlaps(overlay.linkPrefix, prefix)) return prohibited('it overlaps the link addresses');
  const pool = [overlay?.pool, overlay?.pool6].find((one) => one !== undefined && overlaps(one, prefix));
  if (pool !== undefined && !permission.explicit)
    return prohibited(`it overlaps the pool ${pool}, and no rule names it`);
  const cut = outside.find((one) => containsAddress(prefix, one.address) && !(one.unlessNamed && permission.explicit));
  if (cut) return prohibited(cutting(cut));
  return shareOrRefuse(snapshot, node, prefix, permission);
}

/** The words say why there is none. */
function permissionOf(node: NodeRecord, prefix: Prefix): Permission | string {
  const rule = decidingRule(node, prefix);
  if (rule?.action === 'deny') return `denied by the rule "${formatPrefixRule(rule)}"`;
  if (rule) {
    const named = rule.least === rule.most && rule.least === lengthOf(rule.prefix);
    return { around: rule.prefix, explicit: named, shared: rule.shared };
  }
  const granted = node.prefixes.filter((one) => containsPrefix(one, prefix));
  const around = granted.sort((a, b) => lengthOf(b) - lengthOf(a))[0];
  if (around !== undefined) return { around, explicit: around === prefix, shared: false };
  return 'neither the token of the node nor a rule allows it (dmwg prefix allow)';
}

/** A default route comes as its two halves, as NHRP cannot say it: a rule for it is one for them. */
function decidingRule({ policy }: NodeRecord, prefix: Prefix): PolicyRule | undefined {
  const isHalf = lengthOf(prefix) === 1;
  const matches = policy.filter(
    (rule) => matchesPrefixRule(rule, prefix) || (isHalf && rule.most === 0 && containsPrefix(rule.prefix, prefix)),
  );
  return matches.sort(
    (a, b) => lengthOf(b.prefix) - lengthOf(a.prefix) || rankOf(a) - rankOf(b) || a.most - a.least - (b.most - b.least),
  )[0];
}

function rankOf({ action }: PolicyRule): number {
  return action === 'deny' ? 0 : 1;
}

/** What another node has alone stays its own; shared is what all who have it may share. */
function shareOrRefuse(
  snapshot: Snapshot,
  node: NodeRecord,
  prefix: Prefix,
  { around, shared }: Permission,
): Refusal | undefined {
  const others = new Set(snapshot.routes.candidates(prefix).map((one) => one.node));
  const owner = claimant(snapshot, prefix, around);
  if (owner !== undefined) others.add(owner);
  others.delete(node.id);
  for (const id of others) {
    const other = snapshot.nodes.get(id);
    if (!other || (shared && maySharePrefix(other, prefix))) continue;
    const reason = `${other.name} has it: both need "dmwg prefix allow NODE ${prefix} --shared" to share it`;
    return { code: cieCode.alreadyRegistered, reason };
  }
  return undefined;
}

/** Whose the prefix is by enrolment: not if the operator allowed something more specific inside. */
function claimant(snapshot: Snapshot, prefix: Prefix, around: Prefix): NodeId | undefined {
  const address = networkOf(prefix);
  for (let length = lengthOf(prefix); length >= 0; length--) {
    const owner = snapshot.claimedPrefixes.get(prefixOf(address, length));
    if (owner !== undefined) return length < lengthOf(around) ? undefined : owner;
  }
  return undefined;
}

/** Whether others may have the prefix, too. */
export function maySharePrefix(node: NodeRecord, prefix: Prefix): boolean {
  const permission = permissionOf(node, prefix);
  return typeof permission !== 'string' && permission.shared;
}

function prohibited(reason: string): Refusal {
  return { code: cieCode.prohibited, reason };
}

function cutting({ what, address, unlessNamed }: Outside): string {
  const found = `${what}, ${address}, is in it`;
  return unlessNamed
    ? `${found}, and no rule names it: nodes would seek the registry in the overlay`
    : `${found}: the tunnel would run through itself`;
}

function needsOwnRule(prefix: Prefix): string {
  const all = prefix.includes(':') ? '::/0' : '0.0.0.0/0';
  return `a default route needs a rule of its own (dmwg prefix allow NODE ${all})`;
}
