// Records and messages for tests of the registry, with everything that a test does not care about filled in.
import { createHash } from 'node:crypto';
import { type Address, parseAddress, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { type NodeId, type NodeName, parseNodeId, parseNodeName } from '#proto/model/names.ts';
import {
  type Cie,
  defaultHopCount,
  type NhrpBody,
  type NhrpMessage,
  type NodeInterface,
  type RegistrationRequest,
  type ResolutionRequest,
  uniquePrefixLength,
} from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import { milliseconds, seconds, type Timestamp } from '#proto/model/time.ts';
import type {
  BindingRecord,
  NodeRecord,
  OverlayRecord,
  RevocationRecord,
  TokenRecord,
} from '#registry/decide/records.ts';
import type { Put } from '#registry/decide/state.ts';

export const address = (text: string): Address => must(parseAddress(text));
export const prefix = (text: string): Prefix => must(parsePrefix(text));
export const endpoint = (text: string): Endpoint => must(parseEndpoint(text));
export const nodeId = (number: number): NodeId => must(parseNodeId(number.toString(16).padStart(16, '0')));
export const name = (text: string): NodeName => must(parseNodeName(text));
export const at = (value: number): Timestamp => value as Timestamp;

/** A key that is always the same for the same text. */
export function publicKey(text: string): PublicKey {
  return must(parsePublicKey(createHash('sha256').update(text).digest('base64')));
}

export function overlayRecord(parts: Partial<OverlayRecord> = {}): OverlayRecord {
  return {
    name: 'blue',
    phase: 3,
    pool: prefix('10.99.0.0/16'),
    pool6: prefix('fd99::/64'),
    summaries: [],
    linkPrefix: prefix('fd12:3456:789a:bcde::/64'),
    holdingTime: seconds(7200),
    negativeHoldingTime: seconds(30),
    idleTimeout: seconds(300),
    bfdInterval: milliseconds(300),
    bfdMultiplier: 3,
    mtu: 1420,
    maxConnections: 0,
    fallbackTime: seconds(30),
    prefixLimit: 1000,
    ...parts,
  };
}

export function nodeRecord(number: number, parts: Partial<NodeRecord> = {}): NodeRecord {
  return {
    id: nodeId(number),
    name: name(`node-${String(number)}`),
    role: 'spoke',
    address: address(`10.99.0.${String(number)}`),
    address6: address(`fd99::${number.toString(16)}`),
    prefixes: [],
    tags: [],
    endpoints: [],
    priority: 0,
    cluster: 0,
    draining: false,
    createdAt: at(0),
    policy: [],
    ...parts,
  };
}

export function multipoint(text: string, endpoints: readonly string[] = []): NodeInterface {
  return { kind: 'multipoint', publicKey: publicKey(text), hub: undefined, endpoints: endpoints.map(endpoint) };
}

export function hubTunnel(text: string, hub: number): NodeInterface {
  return { kind: 'hub-tunnel', publicKey: publicKey(text), hub: nodeId(hub), endpoints: [] };
}

/** `prefixes`: announced without preference. */
export function bindingRecord(
  number: number,
  { prefixes = [], ...parts }: Partial<BindingRecord> & { readonly prefixes?: readonly Prefix[] } = {},
): BindingRecord {
  return {
    node: nodeId(number),
    interfaces: [multipoint(`node-${String(number)}`)],
    announcements: prefixes.map((one) => ({ prefix: one, preference: 0, since: at(0) })),
    refused: [],
    unique: true,
    mtu: 1420,
    holdingTime: seconds(7200),
    registeredAt: at(0),
    agentVersion: 'test',
    observed: [],
    lostAt: undefined,
    ...parts,
  };
}

export function tokenRecord(parts: Partial<TokenRecord> = {}): TokenRecord {
  return {
    id: 'token-1',
    secretHash: '00',
    role: 'spoke',
    prefixes: [],
    shared: false,
    tags: [],
    usesLeft: 1,
    expiresAt: at(1_000_000),
    createdAt: at(0),
    ...parts,
  };
}

export function revocationRecord(number: number, parts: Partial<RevocationRecord> = {}): RevocationRecord {
  const { id, name, address, address6, prefixes } = nodeRecord(number);
  return { node: id, name, at: at(0), reason: 'revoked', address, address6, prefixes, ...parts };
}

/** A node with its claims, and its binding if one is given. */
export function enrolled(node: NodeRecord, binding?: BindingRecord): Put[] {
  const puts: Put[] = [
    { kind: 'node', record: node },
    { kind: 'claim-name', name: node.name, node: node.id },
    { kind: 'claim-address', address: node.address, node: node.id },
    ...node.prefixes.map((one) => ({ kind: 'claim-prefix', prefix: one, node: node.id }) as const),
  ];
  if (node.address6 !== undefined) puts.push({ kind: 'claim-address', address: node.address6, node: node.id });
  if (binding) {
    puts.push({ kind: 'binding', record: binding });
    for (const one of binding.interfaces) puts.push({ kind: 'claim-key', publicKey: one.publicKey, node: node.id });
  }
  return puts;
}

export function cie(parts: Partial<Cie> = {}): Cie {
  return {
    code: 0,
    prefixLength: uniquePrefixLength,
    mtu: 1420,
    holdingTime: seconds(7200),
    nbma: [],
    protocolAddress: undefined,
    preference: 0,
    ...parts,
  };
}

export function message<B extends NhrpBody>(
  source: string,
  destination: string,
  body: B,
  parts: Partial<NhrpMessage> = {},
): NhrpMessage<B> {
  return {
    hopCount: defaultHopCount,
    requestId: 7,
    sourceNbma: undefined,
    source: address(source),
    destination: address(destination),
    extensions: [],
    ...parts,
    body,
  };
}

export function registration(
  source: string,
  interfaces: readonly NodeInterface[],
  parts: Partial<RegistrationRequest> = {},
): NhrpMessage<RegistrationRequest> {
  const own = cie({ protocolAddress: address(source) });
  return message(source, source, {
    type: 'registration-request',
    unique: true,
    cies: [own],
    interfaces,
    additive: false,
    ...parts,
  });
}

/** The list of announced prefixes. */
export function announcement(
  source: string,
  prefixes: readonly string[],
  { additive = false, preference = 0 } = {},
): NhrpMessage<RegistrationRequest> {
  const cies = prefixes.map((text) => {
    const [network = '', length = '32'] = text.split('/');
    return cie({ protocolAddress: address(network), prefixLength: Number(length), preference });
  });
  return message(source, source, { type: 'registration-request', unique: false, cies, interfaces: [], additive });
}

export function resolution(
  source: string,
  destination: string,
  parts: Partial<ResolutionRequest> = {},
): NhrpMessage<ResolutionRequest> {
  return message(source, destination, {
    type: 'resolution-request',
    router: true,
    authoritativeOnly: false,
    unique: false,
    sourceStable: true,
    cies: [],
    target: undefined,
    ...parts,
  });
}
