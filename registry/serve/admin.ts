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
  SetHubRequest,
  SetHubResponse,
  SetOverlayRequest,
  SetOverlayResponse,
  Token,
} from '#proto/gen/dmwg/v1/admin.ts';
import { fingerprint } from '#proto/kit/certificate.ts';
import { Secret } from '#proto/kit/secret.ts';
import { parseAddress, parseAnnounced } from '#proto/model/address.ts';
import { parseRole } from '#proto/model/names.ts';
import { fail, ok, parseAll, type Result } from '#proto/model/result.ts';
import { after, seconds, type Timestamp, toMilliseconds } from '#proto/model/time.ts';
import { reachableBy, transaction } from '#registry/decide/node.ts';
import { everything } from '#registry/decide/purge.ts';
import type { TokenRecord } from '#registry/decide/records.ts';
import { findNode, removeNode } from '#registry/decide/removal.ts';
import { setHub } from '#registry/decide/set-hub.ts';
import { setOverlay } from '#registry/decide/set-overlay.ts';
import type { Answers } from './answers.ts';
import type { Authenticate } from './caller.ts';
import { decideAndCommit } from './commit.ts';
import type { RegistryContext } from './context.ts';
import { followNhrp } from './follow.ts';
import { overlayMessage } from './query.ts';
import { unary } from './unary.ts';

const defaultExpiry = 86_400;
const mostUses = 1_000_000;
const mostPrefixes = 256;

export function adminService(
  context: RegistryContext,
  answers: Answers,
  authenticate: Authenticate,
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
    clear: unary(context, authenticate, admins, (request) => clear(context, answers, request)),
    revokeNode: unary(context, authenticate, admins, (request) => revokeNode(context, request)),
    setOverlay: unary(context, authenticate, admins, (request) => changeOverlay(context, request)),
    setHub: unary(context, authenticate, admins, (request) => changeHub(context, request)),
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

/** Every connected node is told to forget, at whatever replica it is; what the nodes registered stays. */
export function clear(context: RegistryContext, answers: Answers, request: ClearRequest): Result<ClearResponse> {
  const { store, clock, events } = context;
  const snapshot = store.snapshot();
  let bindings = [...snapshot.bindings.values()];
  if (!request.all) {
    const address = parseAddress(request.address);
    if (!address.ok) return address;
    const node = snapshot.routes.match(address.value)?.value;
    bindings = bindings.filter((binding) => binding.node === node);
  }
  const prefixes = bindings.flatMap((binding) => {
    const node = snapshot.nodes.get(binding.node);
    return node ? reachableBy(node, binding) : [];
  });
  const until = after(clock.now(), toMilliseconds(snapshot.overlay?.holdingTime ?? seconds(0)));
  const classes = request.all ? everything : prefixes;
  for (const node of prefixes.length > 0 ? snapshot.sessions.keys() : []) answers.purge(node, classes, until);
  events.add('bindings.cleared', '', request.all ? 'all' : request.address);
  return ok({ cleared: prefixes.length });
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

function tokenMessage(token: TokenRecord): Token {
  return {
    id: token.id,
    role: token.role,
    prefixes: [...token.prefixes],
    tags: [...token.tags],
    usesLeft: token.usesLeft,
    expiresMs: BigInt(token.expiresAt),
    createdMs: BigInt(token.createdAt),
  };
}
