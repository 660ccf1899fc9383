// Arbitrary values of the model.
import fc from 'fast-check';
import { type Address, formatAddress, type Prefix, prefixOf } from '#proto/model/address.ts';
import { type Endpoint, endpointOf } from '#proto/model/endpoint.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { type NodeId, type NodeName, parseNodeId, parseNodeName, type Phase } from '#proto/model/names.ts';
import type { Cie, Extension, NhrpBody, NhrpMessage, NodeInterface, Rendezvous, Target } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import type { HubConfig, HubPeer, NodeMessage, OverlayConfig, RegistryMessage } from '#proto/model/session.ts';
import { milliseconds, seconds } from '#proto/model/time.ts';

export const address4: fc.Arbitrary<Address> = fc.bigInt(0n, 0xffff_ffffn).map((value) => formatAddress(4, value));
export const address6: fc.Arbitrary<Address> = fc.bigInt(0n, (1n << 128n) - 1n).map((value) => formatAddress(6, value));
export const address: fc.Arbitrary<Address> = fc.oneof(address4, address6);
export const prefix: fc.Arbitrary<Prefix> = fc.oneof(
  fc.tuple(address4, fc.integer({ min: 0, max: 32 })).map(([value, length]) => prefixOf(value, length)),
  fc.tuple(address6, fc.integer({ min: 0, max: 128 })).map(([value, length]) => prefixOf(value, length)),
);
export const endpoint: fc.Arbitrary<Endpoint> = fc
  .tuple(address, fc.integer({ min: 1, max: 65_535 }))
  .map(([value, port]) => endpointOf(value, port));
export const publicKey: fc.Arbitrary<PublicKey> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => bytes.some((byte) => byte !== 0))
  .map((bytes) => must(parsePublicKey(Buffer.from(bytes).toString('base64'))));
export const nodeId: fc.Arbitrary<NodeId> = fc
  .bigInt(0n, (1n << 64n) - 1n)
  .map((value) => must(parseNodeId(value.toString(16).padStart(16, '0'))));
export const nodeName: fc.Arbitrary<NodeName> = fc
  .stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/)
  .map((name) => must(parseNodeName(name)));

/** With a normal prototype, so that strict comparison takes it. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt(0n, (1n << 64n) - 1n);
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const few = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(value, { maxLength: 4 });
const bytes = fc.uint8Array({ maxLength: 40 });
const text = fc.string({ maxLength: 40 }).filter((value) => !/\p{Cc}/u.test(value));

export const cie: fc.Arbitrary<Cie> = record({
  code: u8,
  prefixLength: fc.oneof(fc.integer({ min: 1, max: 32 }), fc.constant(0xff)),
  mtu: u16,
  holdingTime: u16.map(seconds),
  nbma: few(endpoint),
  protocolAddress: maybe(address),
  preference: u8,
});

const extension: fc.Arbitrary<Extension> = record({
  type: fc.integer({ min: 0, max: 0x3fff }),
  compulsory: fc.boolean(),
  value: bytes,
});

export const nodeInterface: fc.Arbitrary<NodeInterface> = fc.oneof(
  record({
    kind: fc.constantFrom('multipoint' as const, 'probe' as const),
    publicKey,
    hub: fc.constant(undefined),
    endpoints: few(endpoint),
  }),
  record({ kind: fc.constant('hub-tunnel' as const), publicKey, hub: nodeId, endpoints: few(endpoint) }),
);

const rendezvous: fc.Arbitrary<Rendezvous> = record({
  startAfter: fc.integer({ min: 0, max: 60_000 }).map(milliseconds),
  round: fc.integer({ min: 1, max: 60_000 }).map(milliseconds),
  rounds: few(endpoint),
});

const target: fc.Arbitrary<Target> = record({
  node: nodeId,
  name: nodeName,
  address,
  address6: maybe(address6),
  prefixes: few(prefix),
  publicKey,
  nat: fc.boolean(),
  rendezvous: maybe(rendezvous),
});

const flag = fc.boolean();
const cies = few(cie);

const body: fc.Arbitrary<NhrpBody> = fc.oneof(
  record({
    type: fc.constant('resolution-request' as const),
    router: flag,
    authoritativeOnly: flag,
    unique: flag,
    sourceStable: flag,
    cies,
    target: maybe(target),
  }),
  record({
    type: fc.constant('resolution-reply' as const),
    router: flag,
    authoritative: flag,
    destinationStable: flag,
    unique: flag,
    sourceStable: flag,
    cies,
    target: maybe(target),
  }),
  record({
    type: fc.constant('registration-request' as const),
    unique: flag,
    cies,
    interfaces: few(nodeInterface),
    additive: flag,
  }),
  record({
    type: fc.constant('registration-reply' as const),
    unique: flag,
    cies,
    observedEndpoint: maybe(endpoint),
  }),
  record({ type: fc.constant('purge-request' as const), noReply: flag, cies }),
  record({ type: fc.constant('purge-reply' as const), noReply: flag, cies }),
  record({ type: fc.constant('error-indication' as const), code: u16, offset: u16, contents: bytes }),
  record({ type: fc.constant('traffic-indication' as const), contents: bytes }),
);

export const nhrpMessage: fc.Arbitrary<NhrpMessage> = record({
  hopCount: u8,
  requestId: u32,
  sourceNbma: maybe(endpoint),
  source: address,
  destination: address,
  extensions: few(extension),
  body,
});

const hub: fc.Arbitrary<HubConfig> = record({
  node: nodeId,
  name: nodeName,
  address,
  address6: maybe(address6),
  publicKey: maybe(publicKey),
  endpoints: few(endpoint),
  priority: u8,
  cluster: u8,
  draining: fc.boolean(),
});

const overlayConfig: fc.Arbitrary<OverlayConfig> = record({
  overlay: nodeName,
  phase: fc.constantFrom<Phase>(1, 2, 3),
  summaries: few(prefix),
  linkPrefix: address6.map((value) => prefixOf(value, 64)),
  hubs: few(hub),
  holdingTime: fc.integer({ min: 1, max: 0xffff }).map(seconds),
  negativeHoldingTime: fc.integer({ min: 1, max: 0xffff }).map(seconds),
  idleTimeout: fc.integer({ min: 1, max: 100_000 }).map(seconds),
  bfdInterval: fc.integer({ min: 10, max: 60_000 }).map(milliseconds),
  bfdMultiplier: fc.integer({ min: 1, max: 255 }),
  mtu: fc.integer({ min: 1280, max: 65_535 }),
  maxConnections: u8,
  fallbackTime: fc.integer({ min: 0, max: 0xffff }).map(seconds),
  takesAdditive: flag,
  registries: few(
    record({ address: fc.constantFrom('r1.example.net:7443', '[2001:db8::1]:7444'), priority: u8, cluster: u8 }),
  ),
  address,
  address6: maybe(address6),
  prefixes: few(prefix),
});

const peer: fc.Arbitrary<HubPeer> = record({
  node: nodeId,
  name: nodeName,
  address,
  address6: maybe(address6),
  interfaces: few(nodeInterface),
});

const route: fc.Arbitrary<LearnedRoute> = record({
  prefix,
  origins: fc.array(record({ node: nodeId, name: nodeName, preference: u8 }), { minLength: 1, maxLength: 3 }),
});

export const nodeMessage: fc.Arbitrary<NodeMessage> = fc.oneof(
  record({ type: fc.constant('hello' as const), agentVersion: text }),
  record({ type: fc.constant('nhrp' as const), message: nhrpMessage }),
  record({
    type: fc.constant('observed-endpoints' as const),
    endpoints: few(record({ publicKey, endpoint })),
  }),
  record({ type: fc.constant('pong' as const), id: u64 }),
);

export const registryMessage: fc.Arbitrary<RegistryMessage> = fc.oneof(
  record({ type: fc.constant('welcome' as const), node: nodeId, registryVersion: text, replica: text }),
  record({ type: fc.constant('nhrp' as const), message: nhrpMessage }),
  record({ type: fc.constant('overlay-config' as const), config: overlayConfig }),
  record({
    type: fc.constant('peer-sync' as const),
    snapshot: flag,
    upsert: few(peer),
    remove: few(nodeId),
    complete: flag,
  }),
  record({
    type: fc.constant('route-sync' as const),
    snapshot: flag,
    upsert: few(route),
    remove: few(prefix),
    complete: flag,
  }),
  record({ type: fc.constant('ping' as const), id: u64 }),
  record({
    type: fc.constant('goodbye' as const),
    reason: fc.constantFrom('draining' as const, 'revoked', 'replaced', 'protocol-error'),
    detail: text,
  }),
);
