import { createHash, timingSafeEqual } from 'node:crypto';
import * as f from '#proto/codec/fields.ts';
import type {
  EnrolmentServiceServer,
  EnrolRequest,
  EnrolResponse,
  LeaveResponse,
  RenewRequest,
  RenewResponse,
} from '#proto/gen/dmwg/v1/enrolment.ts';
import { issueCertificate, type IssuedCertificate, requestedKey } from '#proto/kit/certificate.ts';
import { pause } from '#proto/kit/clock.ts';
import { parseAnnounced } from '#proto/model/address.ts';
import { type NodeId, type NodeName, parseNewName, parseRole } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { type Instant, milliseconds } from '#proto/model/time.ts';
import {
  enrol,
  enrolledBefore,
  type EnrolmentRequest,
  mostEndpoints,
  mostPrefixes,
  tokenUnknown,
} from '#registry/decide/enrol.ts';
import type { NodeRecord } from '#registry/decide/records.ts';
import { type Removal, removeNode } from '#registry/decide/removal.ts';
import type { Snapshot, Transaction } from '#registry/decide/state.ts';
import type { Authenticate, Caller } from './caller.ts';
import { decideAndCommit, Turnstile } from './commit.ts';
import type { RegistryContext } from './context.ts';
import { unary } from './unary.ts';

type NodeCaller = Extract<Caller, { kind: 'node' }>;

export function enrolmentService(context: RegistryContext, authenticate: Authenticate): EnrolmentServiceServer {
  const turns = new Turnstile();
  const strangers = new Strangers(context);
  return {
    enrol: unary(context, authenticate, ['anyone', 'node', 'admin', 'registry'], (request, _caller, signal) => {
      // Anyone may call: whoever has no token costs no more than this look.
      const known = context.store.snapshot().tokens.get(request.tokenId);
      return matches(known?.secretHash, request.tokenSecret)
        ? enrolNode(context, turns, request, signal)
        : strangers.refuse();
    }),
    renew: unary(context, authenticate, ['node'], (request, caller) => renewNode(context, request, caller)),
    leave: unary(context, authenticate, ['node'], (_request, caller) => leaveOverlay(context, caller)),
  };
}

/** Undefined: it is enrolled already. */
interface Admission {
  readonly node: NodeRecord;
  readonly transaction: Transaction | undefined;
}

/**
 * The certificate is made before anything is stored, so that a bad request costs no use of the token. Enrolments take turns, as
 * all change the token's record and want the same address. Who asks again with the same key gets what he got before.
 */
async function enrolNode(
  context: RegistryContext,
  turns: Turnstile,
  request: EnrolRequest,
  signal: AbortSignal,
): Promise<Result<EnrolResponse>> {
  const { store, clock, events } = context;
  const parsed = parseEnrolment(request);
  if (!parsed.ok) return parsed;
  const key = await requestedKey(request.csr);
  if (!key.ok) return key;
  const id = idFor(request.tokenId, key.value);
  const decide = (snapshot: Snapshot): Result<Admission> => {
    const secretMatches = matches(snapshot.tokens.get(request.tokenId)?.secretHash, request.tokenSecret);
    const asked = { ...parsed.value, secretMatches };
    const known = enrolledBefore(snapshot, asked, id);
    return known ? ok({ node: known, transaction: undefined }) : enrol(snapshot, asked, id, clock.date());
  };
  const admissible = decide(store.snapshot());
  if (!admissible.ok) {
    events.add('node.enrolment-refused', parsed.value.name, admissible.fault.code);
    return admissible;
  }
  const issued = await issue(context, id, parsed.value.name, request.csr);
  if (!issued.ok) return issued;
  const outcome = await turns.pass(() => decideAndCommit(store, decide, signal));
  const enrolled = await settle(context, id, outcome);
  if (!enrolled.ok) {
    events.add('node.enrolment-refused', parsed.value.name, enrolled.fault.code);
    return enrolled;
  }
  const node = enrolled.value;
  events.add('node.enrolled', node.name, `${node.role} ${node.address}`);
  return ok({
    nodeId: node.id,
    overlay: context.overlay,
    role: node.role,
    name: node.name,
    address: node.address,
    address6: node.address6 ?? '',
    // Those of a token that shares are rules.
    prefixes: [...new Set([...node.prefixes, ...node.policy.map(({ prefix }) => prefix)])],
    certificate: Buffer.from(issued.value.certificate),
    certificateExpires: BigInt(Math.floor(issued.value.expires / 1000)),
  });
}

export async function renewNode(
  context: RegistryContext,
  request: RenewRequest,
  { node }: NodeCaller,
): Promise<Result<RenewResponse>> {
  const issued = await issue(context, node.id, node.name, request.csr);
  if (!issued.ok) return issued;
  context.events.add('node.renewed', node.name);
  return ok({
    certificate: Buffer.from(issued.value.certificate),
    certificateExpires: BigInt(Math.floor(issued.value.expires / 1000)),
  });
}

export async function leaveOverlay(context: RegistryContext, { node }: NodeCaller): Promise<Result<LeaveResponse>> {
  const removed = await decideAndCommit<Removal>(context.store, (snapshot) =>
    removeNode(snapshot, node.id, 'left', context.clock.date()),
  );
  if (!removed.ok) return removed;
  context.events.add('node.left', node.name);
  return ok({});
}

async function issue(
  context: RegistryContext,
  id: NodeId,
  name: NodeName,
  csr: Uint8Array,
): Promise<Result<IssuedCertificate>> {
  return issueCertificate({
    ca: context.ca.certificate,
    caKey: context.ca.key,
    csr,
    identity: { kind: 'node', overlay: context.overlay, id },
    name,
    validity: context.nodeValidity,
    usage: 'client',
    now: context.clock.date(),
  });
}

/** The same for the same token and key, and for no others. */
function idFor(tokenId: string, key: Uint8Array): NodeId {
  return createHash('sha256').update(`${tokenId} `).update(key).digest('hex').slice(0, 16) as NodeId;
}

/** Without an answer of etcd the node may be stored all the same: its id is its own, so the mirror will tell. */
async function settle(context: RegistryContext, id: NodeId, outcome: Result<Admission>): Promise<Result<NodeRecord>> {
  if (outcome.ok) return ok(outcome.value.node);
  if (outcome.fault.code !== 'unavailable') return outcome;
  for (let tries = 0; tries < 20; tries++) {
    const node = context.store.snapshot().nodes.get(id);
    if (node) return ok(node);
    await pause(milliseconds(100));
  }
  return fail('unavailable', 'the registry cannot store anything at the moment, as etcd does not answer: try again');
}

/** Milliseconds between two lines of the log about callers without a token. */
const quietFor = 1000;

/** Callers without a token: they are counted, and fill neither the log nor the events. */
class Strangers {
  readonly #context: Pick<RegistryContext, 'clock' | 'log'>;
  #spoke: Instant | undefined;
  #count = 0;

  constructor(context: Pick<RegistryContext, 'clock' | 'log'>) {
    this.#context = context;
  }

  refuse(): Result<never> {
    const { clock, log } = this.#context;
    this.#count++;
    const now = clock.now();
    if (this.#spoke === undefined || now - this.#spoke >= quietFor) {
      log.info({ calls: this.#count }, 'enrolment without a valid token');
      this.#spoke = now;
      this.#count = 0;
    }
    return tokenUnknown;
  }
}

/** What a token's secret is at most, in octets. */
const longestSecret = 64;

function matches(secretHash: string | undefined, secret: Uint8Array): boolean {
  if (secret.length > longestSecret) return false;
  const hash = createHash('sha256').update(secret).digest();
  const known = Buffer.from(secretHash ?? '', 'hex');
  return known.length === hash.length && timingSafeEqual(known, hash);
}

function parseEnrolment(request: EnrolRequest): Result<Omit<EnrolmentRequest, 'secretMatches'>> {
  return f.fields({
    tokenId: ok(request.tokenId),
    name: f.atom(request.name, parseNewName),
    role: f.optionalAtom(request.role, parseRole),
    prefixes: f.list(request.prefixes, mostPrefixes, (text) => f.atom(text, parseAnnounced)),
    endpoints: f.endpoints(request.endpoints, mostEndpoints),
    address: f.optionalAddress(request.address),
    priority: f.optional(request.priority, f.u8),
    cluster: f.u8(request.cluster),
  });
}
