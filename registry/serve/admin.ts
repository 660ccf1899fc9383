import { createHash, randomBytes } from 'node:crypto';
import { formatJoinToken } from '#proto/codec/join-token.ts';
import type {
  AdminServiceServer,
  ClearRequest,
  ClearResponse,
  CreateTokenRequest,
  CreateTokenResponse,
  RevokeNodeRequest,
  RevokeNodeResponse,
  DrainHubRequest,
  DrainHubResponse,
  SetHubRequest,
  SetHubResponse,
  SetOverlayRequest,
  SetOverlayResponse,
  SetPrefixRuleRequest,
  SetPrefixRuleResponse,
  Token,
} from '#proto/gen/dmwg/v1/admin.ts';
import { fingerprint } from '#proto/kit/certificate.ts';
import { Secret } from '#proto/kit/secret.ts';
import { parseAddress, parseAnnounced } from '#proto/model/address.ts';
import { parseRole } from '#proto/model/names.ts';
import { fail, ok, parseAll, type Result } from '#proto/model/result.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { clear } from '#registry/decide/clear.ts';
import { transaction } from '#registry/decide/node.ts';
import type { TokenRecord } from '#registry/decide/records.ts';
import { findNode, removeNode } from '#registry/decide/removal.ts';
import { drainHub, spokesOf } from '#registry/decide/drain-hub.ts';
import { setHub } from '#registry/decide/set-hub.ts';
import { formatPolicyRule, setPrefixRule } from '#registry/decide/set-prefix.ts';
import { setOverlay } from '#registry/decide/set-overlay.ts';
import type { Authenticate } from './caller.ts';
import { decideAndCommit } from './commit.ts';
import type { RegistryContext } from './context.ts';
import type { Draining } from './draining.ts';
import { followNhrp } from './follow.ts';
import { overlayMessage } from './query.ts';
import { unary } from './unary.ts';

const defaultExpiry = 86_400;
const mostUses = 1_000_000;
const mostPrefixes = 256;

export function adminService(
  context: RegistryContext,
  authenticate: Authenticate,
  draining: Pick<Draining, 'set'>,
): AdminServiceServer {
  const { store, events } = context;
  const admins = ['admin'] as const;
  return {
    createToken: unary(context, authenticate, admins, (request) => createToken(context, request)),
    listTokens: unary(context, authenticate, admins, () =>
      ok({
        tokens: [...store.snapshot().tokens.values()]
          .map(tokenMessage)
          .sort((a, b) => (a.createdMs < b.createdMs ? -1 : 1)),
      }),
    ),
    revokeToken: unary(context, authenticate, admins, async ({ id }) => {
      const revoked = await decideAndCommit(store, (snapshot) => {
        const key = { kind: 'token', id } as const;
        return snapshot.tokens.has(id)
          ? ok({ transaction: transaction({ unchanged: [key], delete: [key] }) })
          : fail('token-not-found', `there is no token "${id.slice(0, 64)}": see dmwg token list`);
      });
      if (!revoked.ok) return revoked;
      events.add('token.revoked', '', id);
      return ok({});
    }),
    clear: unary(context, authenticate, admins, (request) => clearBindings(context, request)),
    revokeNode: unary(context, authenticate, admins, (request) => revokeNode(context, request)),
    setOverlay: unary(context, authenticate, admins, (request) => changeOverlay(context, request)),
    setHub: unary(context, authenticate, admins, (request) => changeHub(context, request)),
    drainHub: unary(context, authenticate, admins, (request) => changeDraining(context, request)),
    drainReplica: unary(context, authenticate, admins, async ({ off }) => {
      const set = await draining.set(!off);
      return set.ok ? ok({ ...set.value, address: context.self.address }) : set;
    }),
    setPrefixRule: unary(context, authenticate, admins, (request) => changePrefixRule(context, request)),
    followNhrp: followNhrp(context, authenticate),
  };
}

export async function createToken(
  context: RegistryContext,
  request: CreateTokenRequest,
): Promise<Result<CreateTokenResponse>> {
  const role = parseRole(request.role === '' ? 'spoke' : request.role);
  if (!role.ok) return role;
  if (request.prefixes.length > mostPrefixes)
    return fail('too-many', `a token has at most ${String(mostPrefixes)} prefixes`);
  const prefixes = parseAll(request.prefixes, parseAnnounced);
  if (!prefixes.ok) return fail(prefixes.fault.code, `prefixes${prefixes.fault.message}`);
  if (request.tags.length > 32 || !request.tags.every((tag) => /^[\x21-\x7e]{1,64}$/.test(tag))) {
    return fail('bad-tag', 'tags: at most 32, each of 1 to 64 printable characters without spaces');
  }
  const uses = request.uses === 0 ? 1 : request.uses;
  if (uses > mostUses) return fail('bad-uses', `uses: at most ${String(mostUses)}`);
  const now = context.clock.date();
  const secret = randomBytes(32);
  const expires = (now +
    (request.expiresInSeconds === 0 ? defaultExpiry : request.expiresInSeconds) * 1000) as Timestamp;
  const record: TokenRecord = {
    id: randomBytes(6).toString('hex'),
    secretHash: createHash('sha256').update(secret).digest('hex'),
    role: role.value,
    prefixes: prefixes.value,
    shared: request.shared,
    tags: request.tags,
    usesLeft: uses,
    expiresAt: expires,
    createdAt: now,
  };
  const key = { kind: 'token', id: record.id } as const;
  const stored = await context.store.commit(transaction({ absent: [key], put: [{ kind: 'token', record }] }));
  if (!stored.ok) return stored;
  context.events.add('token.created', '', record.id);
  const token = formatJoinToken({
    registry: context.addresses,
    caPin: fingerprint(context.ca.certificate),
    id: record.id,
    secret: new Secret(new Uint8Array(secret)),
  });
  return ok({ id: record.id, token: token.reveal(), expiresMs: BigInt(expires) });
}

export async function revokeNode(
  context: RegistryContext,
  request: RevokeNodeRequest,
): Promise<Result<RevokeNodeResponse>> {
  const removed = await decideAndCommit(context.store, (snapshot) => {
    const node = findNode(snapshot, request.node);
    return node.ok ? removeNode(snapshot, node.value.id, 'revoked', context.clock.date()) : node;
  });
  if (!removed.ok) return removed;
  const { node } = removed.value;
  context.events.add('node.revoked', node.name);
  return ok({ id: node.id, name: node.name });
}

/** Every node is told to forget, at whatever replica it is, or when it is back; what the nodes registered stays. */
export async function clearBindings(context: RegistryContext, request: ClearRequest): Promise<Result<ClearResponse>> {
  const address = request.all ? ok('all' as const) : parseAddress(request.address);
  if (!address.ok) return address;
  const order = { id: randomBytes(8).toString('hex'), now: context.clock.date() };
  const done = await decideAndCommit(context.store, (snapshot) => ok(clear(snapshot, address.value, order)));
  if (!done.ok) return done;
  context.events.add('bindings.cleared', '', request.all ? 'all' : request.address);
  return ok({ cleared: done.value.cleared });
}

export async function changeOverlay(
  context: RegistryContext,
  request: SetOverlayRequest,
): Promise<Result<SetOverlayResponse>> {
  const changed = await decideAndCommit(context.store, (snapshot) => {
    if (!snapshot.overlay) return fail('no-overlay', 'the overlay is not initialised yet');
    const record = setOverlay(snapshot.overlay, request.key, request.value);
    if (!record.ok) return record;
    const put = [{ kind: 'overlay', record: record.value }] as const;
    return ok({ record: record.value, transaction: transaction({ unchanged: [{ kind: 'overlay' }], put }) });
  });
  if (!changed.ok) return changed;
  context.events.add('overlay.changed', '', `${request.key} = ${request.value}`);
  return ok({ overlay: overlayMessage(changed.value.record) });
}

export async function changeHub(context: RegistryContext, request: SetHubRequest): Promise<Result<SetHubResponse>> {
  const changed = await decideAndCommit(context.store, (snapshot) =>
    setHub(snapshot, request.hub, request.key, request.value),
  );
  if (!changed.ok) return changed;
  const { id, name, priority, cluster } = changed.value.node;
  context.events.add('hub.changed', name, `${request.key} = ${request.value}`);
  return ok({ id, name, priority, cluster });
}

async function changeDraining(
  context: RegistryContext,
  { hub, off }: DrainHubRequest,
): Promise<Result<DrainHubResponse>> {
  const changed = await decideAndCommit(context.store, (snapshot) => drainHub(snapshot, hub, !off));
  if (!changed.ok) return changed;
  const { node, transaction: write } = changed.value;
  if (write) context.events.add(off ? 'hub.in-service' : 'hub.draining', node.name, '');
  const { id, name, draining } = node;
  return ok({ id, name, draining, spokes: spokesOf(context.store.snapshot(), node) });
}

async function changePrefixRule(
  context: RegistryContext,
  request: SetPrefixRuleRequest,
): Promise<Result<SetPrefixRuleResponse>> {
  const changed = await decideAndCommit(context.store, (snapshot) =>
    setPrefixRule(snapshot, request, context.clock.date()),
  );
  if (!changed.ok) return changed;
  const { id, name, policy } = changed.value.node;
  context.events.add('node.policy', name, `${request.action} ${request.rule}${request.shared ? ' shared' : ''}`);
  return ok({ id, name, policy: policy.map(formatPolicyRule) });
}

function tokenMessage(token: TokenRecord): Token {
  return {
    id: token.id,
    role: token.role,
    prefixes: [...token.prefixes],
    shared: token.shared,
    tags: [...token.tags],
    usesLeft: token.usesLeft,
    expiresMs: BigInt(token.expiresAt),
    createdMs: BigInt(token.createdAt),
  };
}
