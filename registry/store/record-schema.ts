// The stored form of every record, as zod schemas whose output is the record itself. A field that can be absent is stored
// as null. A field that came later has a default, for records written before it; an unknown one is of a later version, and
// stays in the record when this one changes it.
import * as z from 'zod';
import type {
  Announcement,
  BindingRecord,
  ClearRecord,
  NodeRecord,
  ObservedRecord,
  OverlayRecord,
  PolicyRule,
  RefusedAnnouncement,
  ReplicaRecord,
  RevocationRecord,
  SessionRecord,
  TokenRecord,
} from '#registry/decide/records.ts';
import { parseAddress, parsePrefix } from '#proto/model/address.ts';
import { parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey } from '#proto/model/key.ts';
import { parseNodeId, parseNodeName, parsePhase, parseRole } from '#proto/model/names.ts';
import type { NodeInterface } from '#proto/model/nhrp.ts';
import type { Result } from '#proto/model/result.ts';
import type { Milliseconds, Seconds, Timestamp } from '#proto/model/time.ts';

const address = text(parseAddress);
const prefix = text(parsePrefix);
const endpoint = text(parseEndpoint);
const publicKey = text(parsePublicKey);
const nodeId = text(parseNodeId);
const nodeName = text(parseNodeName);
const role = text(parseRole);
const words = z.array(z.string());
const count = z.int().nonnegative();
const seconds = z
  .number()
  .nonnegative()
  .transform((value) => value as Seconds);
const milliseconds = z
  .number()
  .nonnegative()
  .transform((value) => value as Milliseconds);
const timestamp = z
  .number()
  .nonnegative()
  .transform((value) => value as Timestamp);

export const overlaySchema: z.ZodType<OverlayRecord> = z.looseObject({
  name: z.string().min(1),
  phase: z.number().transform(parsed(parsePhase)),
  pool: prefix,
  pool6: orAbsent(prefix),
  summaries: z.array(prefix),
  linkPrefix: prefix,
  holdingTime: seconds,
  negativeHoldingTime: seconds,
  idleTimeout: seconds,
  bfdInterval: milliseconds,
  bfdMultiplier: z.int().min(1).max(255),
  mtu: count,
  maxConnections: z.int().min(0).max(255).default(0),
  fallbackTime: seconds.default(30 as Seconds),
  prefixLimit: z.int().min(1).max(4096).default(1000),
});

const policySchema: z.ZodType<PolicyRule> = z.looseObject({
  action: z.enum(['allow', 'deny']),
  prefix,
  least: z.int().min(0).max(128),
  most: z.int().min(0).max(128),
  shared: z.boolean(),
});

export const nodeSchema: z.ZodType<NodeRecord> = z.looseObject({
  id: nodeId,
  name: nodeName,
  role,
  address,
  address6: orAbsent(address),
  prefixes: z.array(prefix),
  tags: words,
  endpoints: z.array(endpoint),
  priority: z.int().min(0).max(255),
  cluster: z.int().min(0).max(255).default(0),
  draining: z.boolean().default(false),
  createdAt: timestamp,
  policy: z.array(policySchema).default([]),
});

const interfaceSchema: z.ZodType<NodeInterface> = z.looseObject({
  kind: z.enum(['multipoint', 'hub-tunnel', 'probe']),
  publicKey,
  hub: orAbsent(nodeId),
  endpoints: z.array(endpoint),
});

const observedSchema: z.ZodType<ObservedRecord> = z.looseObject({ publicKey, endpoint, hub: nodeId });

const announcementSchema: z.ZodType<Announcement> = z.looseObject({
  prefix,
  preference: z.int().min(0).max(255),
  since: timestamp,
});

const refusedSchema: z.ZodType<RefusedAnnouncement> = z.looseObject({
  prefix,
  preference: z.int().min(0).max(255),
  since: timestamp,
  reason: z.string(),
  damped: z.literal(true).optional(),
});

const binding = z.looseObject({
  node: nodeId,
  interfaces: z.array(interfaceSchema),
  announcements: z.array(announcementSchema),
  refused: z.array(refusedSchema).default([]),
  unique: z.boolean(),
  mtu: count,
  holdingTime: seconds,
  registeredAt: timestamp,
  agentVersion: z.string(),
  observed: z.array(observedSchema),
  lostAt: orAbsent(timestamp),
});

/** Before there were preferences, a binding had a plain list of prefixes. */
const plainBinding = binding
  .omit({ announcements: true })
  .extend({ prefixes: z.array(prefix) })
  .transform(({ prefixes, ...rest }): BindingRecord => {
    const announcements = prefixes.map((one) => ({ prefix: one, preference: 0, since: rest.registeredAt }));
    return { ...rest, announcements };
  });

export const bindingSchema: z.ZodType<BindingRecord> = z.union([binding, plainBinding]);

export const tokenSchema: z.ZodType<TokenRecord> = z.looseObject({
  id: z.string().min(1),
  secretHash: z.string().regex(/^[0-9a-f]+$/),
  role,
  prefixes: z.array(prefix),
  shared: z.boolean().default(false),
  tags: words,
  usesLeft: count,
  expiresAt: timestamp,
  createdAt: timestamp,
});

export const revocationSchema: z.ZodType<RevocationRecord> = z.looseObject({
  node: nodeId,
  name: nodeName,
  at: timestamp,
  reason: z.enum(['revoked', 'left']),
  address: orAbsent(address).prefault(null),
  address6: orAbsent(address).prefault(null),
  prefixes: z.array(prefix).default([]),
});

export const clearSchema: z.ZodType<ClearRecord> = z.looseObject({
  id: z.string().min(1),
  classes: z.array(prefix),
  after: count,
  until: timestamp,
});

export const sessionSchema: z.ZodType<SessionRecord> = z.looseObject({ node: nodeId, replica: z.string().min(1) });

export const replicaSchema: z.ZodType<ReplicaRecord> = z.looseObject({
  id: z.string().min(1),
  address: z.string(),
  public: orAbsent(
    z.looseObject({
      address: z.string().min(1),
      priority: z.int().min(0).max(255),
      cluster: z.int().min(0).max(255),
    }),
  ).prefault(null),
  draining: z.boolean().optional(),
  joinedAt: z.array(z.string()).optional(),
});

export const claimSchema = z.looseObject({ node: nodeId });

/** Of one node about another: [prefix, mark, revision, until] each. */
export const toldSchema = z.looseObject({
  v: z.literal(1),
  answers: z.array(z.tuple([prefix, z.string(), count, timestamp])),
});

function text<T>(parse: (value: string) => Result<T>) {
  return z.string().transform(parsed(parse));
}

function orAbsent<T>(schema: z.ZodType<T>) {
  return schema.nullable().transform((value) => value ?? undefined);
}

/** A parser of the model as a zod transformation. */
function parsed<T, V>(parse: (value: V) => Result<T>) {
  return (value: V, context: z.RefinementCtx): T => {
    const result = parse(value);
    if (result.ok) return result.value;
    context.addIssue(result.fault.message);
    return z.NEVER;
  };
}
