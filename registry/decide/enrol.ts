import {
  type Address,
  addressBits,
  checkAnnounced,
  containsPrefix,
  familyOf,
  lengthOf,
  overlaps,
  type Prefix,
} from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { NodeId, NodeName, Role } from '#proto/model/names.ts';
import { type Fault, fail, ok, type Result } from '#proto/model/result.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { allocate, offsetIn } from './allocate.ts';
import { hubsOf, transaction } from './node.ts';
import { maySharePrefix } from './permit.ts';
import type { NodeRecord, OverlayRecord, PolicyRule, TokenRecord } from './records.ts';
import type { Key, Put, Snapshot, Transaction } from './state.ts';

export interface EnrolmentRequest {
  readonly tokenId: string;
  /** The caller compared the secret's hash, in constant time. */
  readonly secretMatches: boolean;
  readonly name: NodeName;
  /** Undefined: the token's. */
  readonly role: Role | undefined;
  readonly prefixes: readonly Prefix[];
  readonly endpoints: readonly Endpoint[];
  /** Undefined: any free one. */
  readonly address: Address | undefined;
  /** Of a hub; undefined: after those that joined before. */
  readonly priority: number | undefined;
  readonly cluster: number;
}

export interface Enrolment {
  readonly node: NodeRecord;
  readonly transaction: Transaction;
}

export const tokenUnknown = fail(
  'token-unknown',
  'the token is unknown here or was revoked: ask for a new one (dmwg token create)',
);

/** No node may announce more than this. */
export const mostPrefixes = 64;
export const mostEndpoints = 16;
/** What the configuration of a node takes, and as many as there are priorities. */
const mostHubs = 256;

/**
 * Admits a machine as node `id`. A conflict at commit means that the state moved on: decide again on the new snapshot.
 * Faults: token-unknown, token-expired, token-used-up, role-not-allowed, prefix-not-allowed, prefix-taken, name-taken,
 * address-taken, address-outside-pool, pool-exhausted, hub-needs-endpoint, not-a-hub, too-many, no-overlay, conflict (the id is used).
 */
export function enrol(snapshot: Snapshot, request: EnrolmentRequest, id: NodeId, now: Timestamp): Result<Enrolment> {
  const overlay = snapshot.overlay;
  if (!overlay) return fail('no-overlay', 'the overlay is not initialised yet: try again shortly');
  const token = admissible(snapshot.tokens.get(request.tokenId), request.secretMatches, now);
  if (!token.ok) return token;
  const role = request.role ?? token.value.role;
  if (role !== token.value.role) {
    return fail('role-not-allowed', `the token is for a ${token.value.role}, not for a ${role}`);
  }
  if (role === 'hub' && request.endpoints.length === 0) {
    return fail('hub-needs-endpoint', 'a hub needs its public endpoint: give --endpoint ADDRESS:PORT');
  }
  if (role !== 'hub' && (request.priority !== undefined || request.cluster !== 0)) {
    return fail('not-a-hub', 'only a hub has a priority and a cluster: leave out --priority and --cluster');
  }
  if (role === 'hub' && hubsOf(snapshot).length >= mostHubs) {
    return fail('too-many', `an overlay has at most ${String(mostHubs)} hubs`);
  }
  const tooMany = overLimit(request);
  if (tooMany) return { ok: false, fault: tooMany };
  const prefixes = [...new Set(request.prefixes)];
  for (const prefix of prefixes) {
    const fault = prefixFault(snapshot, overlay, token.value, prefix);
    if (fault) return { ok: false, fault };
  }
  // Also one of the past: what is said of that node must never be said of this one.
  if (snapshot.nodes.has(id) || snapshot.revoked.has(id)) return fail('conflict', `the id ${id} is taken: try again`);
  const namesake = snapshot.nodeByName.get(request.name);
  if (namesake !== undefined) {
    return fail(
      'name-taken',
      `the name ${request.name} belongs to node ${namesake}: choose another one, or revoke that node`,
    );
  }
  const addresses = allocateBoth(snapshot, overlay, request.address);
  if (!addresses.ok) return addresses;
  const node: NodeRecord = {
    id,
    name: request.name,
    role,
    address: addresses.value.address,
    address6: addresses.value.address6,
    prefixes: token.value.shared ? [] : prefixes,
    tags: token.value.tags,
    endpoints: [...new Set(request.endpoints)],
    priority: role === 'hub' ? (request.priority ?? freePriority(snapshot)) : 0,
    cluster: role === 'hub' ? request.cluster : 0,
    draining: false,
    createdAt: now,
    policy: token.value.shared ? prefixes.flatMap(sharingRules) : [],
  };
  return ok({ node, transaction: admission(node, token.value) });
}

/**
 * The node that this very request made before, when its answer got lost: the same token and the same key, from which `id` comes.
 * Whether the token has uses left does not matter then.
 */
export function enrolledBefore(snapshot: Snapshot, request: EnrolmentRequest, id: NodeId): NodeRecord | undefined {
  const node = snapshot.nodes.get(id);
  const same = snapshot.tokens.has(request.tokenId) && request.secretMatches && node?.name === request.name;
  return same ? node : undefined;
}

/** All that a node's admission writes; removal.ts is its inverse. */
function admission(node: NodeRecord, token: TokenRecord): Transaction {
  const claims: (Put & { readonly kind: `claim-${string}` })[] = [
    { kind: 'claim-name', name: node.name, node: node.id },
    { kind: 'claim-address', address: node.address, node: node.id },
    ...node.prefixes.map((prefix) => ({ kind: 'claim-prefix', prefix, node: node.id }) as const),
  ];
  if (node.address6 !== undefined) claims.push({ kind: 'claim-address', address: node.address6, node: node.id });
  const absent: Key[] = [{ kind: 'node', id: node.id }, { kind: 'revocation', id: node.id }, ...claims];
  return transaction({
    absent,
    unchanged: [{ kind: 'overlay' }, { kind: 'token', id: token.id }],
    put: [
      { kind: 'node', record: node },
      ...claims,
      { kind: 'token', record: { ...token, usesLeft: token.usesLeft - 1 } },
    ],
  });
}

function admissible(token: TokenRecord | undefined, secretMatches: boolean, now: Timestamp): Result<TokenRecord> {
  if (!token || !secretMatches) return tokenUnknown;
  if (token.expiresAt <= now) {
    const moment = new Date(token.expiresAt).toISOString();
    return fail('token-expired', `the token expired at ${moment}: ask for a new one (dmwg token create)`);
  }
  if (token.usesLeft < 1) {
    return fail(
      'token-used-up',
      'the token is used up: ask for a new one (dmwg token create, --uses N for several nodes)',
    );
  }
  return ok(token);
}

function overLimit(request: EnrolmentRequest): Fault | undefined {
  if (request.prefixes.length > mostPrefixes) {
    return { code: 'too-many', message: `a node announces at most ${String(mostPrefixes)} prefixes` };
  }
  if (request.endpoints.length > mostEndpoints) {
    return { code: 'too-many', message: `a node has at most ${String(mostEndpoints)} endpoints` };
  }
  return undefined;
}

function prefixFault(
  snapshot: Snapshot,
  overlay: OverlayRecord,
  token: TokenRecord,
  prefix: Prefix,
): Fault | undefined {
  const announceable = checkAnnounced(prefix);
  if (!announceable.ok) return announceable.fault;
  // The halves of a default route are around everything, the overlay's own networks included, which are more specific.
  const isHalf = lengthOf(prefix) === 1;
  const allowed = token.prefixes.some((outer) => containsPrefix(outer, prefix));
  if (!allowed) {
    const list = token.prefixes.length === 0 ? 'no prefix' : `only ${token.prefixes.join(', ')}`;
    return { code: 'prefix-not-allowed', message: `the token does not allow ${prefix}: it allows ${list}` };
  }
  const reserved = [overlay.pool, overlay.pool6, overlay.linkPrefix].filter((one) => one !== undefined);
  const clash = reserved.find((one) => overlaps(one, prefix));
  if (clash !== undefined && !isHalf) {
    return { code: 'prefix-not-allowed', message: `${prefix} overlaps ${clash}, which the overlay itself uses` };
  }
  const owner = snapshot.claimedPrefixes.get(prefix);
  if (owner !== undefined) {
    const node = snapshot.nodes.get(owner);
    if (token.shared && node && maySharePrefix(node, prefix)) return undefined;
    return { code: 'prefix-taken', message: `the prefix ${prefix} belongs to node ${node?.name ?? owner}` };
  }
  return undefined;
}

/** What a token that shares allows: the prefix, and everything inside it, claimed for nobody. */
function sharingRules(prefix: Prefix): PolicyRule[] {
  const [least, bits] = [lengthOf(prefix), addressBits(familyOf(prefix))];
  const rule = { action: 'allow', prefix, least, most: least, shared: true } as const;
  return least <= 1 || least === bits ? [rule] : [rule, { ...rule, least: least + 1, most: bits }];
}

function allocateBoth(
  snapshot: Snapshot,
  overlay: OverlayRecord,
  wanted: Address | undefined,
): Result<{ readonly address: Address; readonly address6: Address | undefined }> {
  const taken = (address: Address): boolean => snapshot.claimedAddresses.has(address);
  // A wanted address of the second pool's family asks in that pool; the other family follows by offset.
  const wantsSecond =
    wanted !== undefined && overlay.pool6 !== undefined && familyOf(wanted) !== familyOf(overlay.pool);
  if (wantsSecond) {
    const second = allocate(overlay.pool6, taken, { address: wanted });
    if (!second.ok) return second;
    const first = allocate(overlay.pool, taken, { offset: offsetIn(overlay.pool6, second.value) });
    return first.ok ? ok({ address: first.value, address6: second.value }) : first;
  }
  const first = allocate(overlay.pool, taken, { address: wanted });
  if (!first.ok || overlay.pool6 === undefined) {
    return first.ok ? ok({ address: first.value, address6: undefined }) : first;
  }
  const second = allocate(overlay.pool6, taken, { offset: offsetIn(overlay.pool, first.value) });
  return second.ok ? ok({ address: first.value, address6: second.value }) : second;
}

/** Hubs are preferred in the order in which they joined. */
function freePriority(snapshot: Snapshot): number {
  const used = new Set(hubsOf(snapshot).map((hub) => hub.priority));
  for (let priority = 0; priority < 255; priority++) if (!used.has(priority)) return priority;
  return 255;
}
