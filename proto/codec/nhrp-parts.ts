// The elements that NHRP messages are made of: CIE, extension, interface, target.
import * as wire from '#proto/gen/dmwg/v1/nhrp.ts';
import { addressBits, familyOf, parseAddress } from '#proto/model/address.ts';
import { parsePublicKey } from '#proto/model/key.ts';
import { parseNodeId, parseNodeName } from '#proto/model/names.ts';
import {
  type Cie,
  type Extension,
  type InterfaceKind,
  type NodeInterface,
  type Rendezvous,
  type Target,
  uniquePrefixLength,
} from '#proto/model/nhrp.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { milliseconds, seconds } from '#proto/model/time.ts';
import * as f from './fields.ts';

/** What one message may carry of each. A sender splits what is longer. */
export const limits = {
  cies: 16_384,
  nbma: 32,
  extensions: 32,
  extensionOctets: 4096,
  interfaces: 256,
  endpoints: 32,
  nodePrefixes: 4096,
  rounds: 64,
  /** Of a packet's or a message's head. */
  contentsOctets: 2048,
} as const;

export function decodeCie(cie: wire.Cie): Result<Cie> {
  const protocolAddress = f.optionalAddress(cie.protocolAddress);
  const bits = protocolAddress.ok && protocolAddress.value ? addressBits(familyOf(protocolAddress.value)) : 128;
  return f.fields({
    code: f.u8(cie.code),
    prefixLength: decodePrefixLength(cie.prefixLength, bits, isNothing(cie.protocolAddress)),
    mtu: f.u16(cie.mtu),
    holdingTime: f.map(f.u16(cie.holdingTimeSeconds), seconds),
    nbma: f.endpoints(cie.nbma, limits.nbma),
    protocolAddress,
    preference: f.u8(cie.preference),
  });
}

/**
 * RFC 2332 5.2.0.1: 0 is 0xFF, so a prefix of length 0 cannot be said. Beside the unspecified address it is a default route that
 * somebody tried to say: it stays 0, and is refused by who decides.
 */
function decodePrefixLength(value: number, bits: number, isDefault: boolean): Result<number> {
  if (value === 0 && isDefault) return ok(0);
  return value === 0 || value === uniquePrefixLength ? ok(uniquePrefixLength) : f.integer(value, 1, bits);
}

function isNothing(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

export function encodeCie(cie: Cie): wire.Cie {
  return {
    code: cie.code,
    prefixLength: cie.prefixLength,
    mtu: cie.mtu,
    holdingTimeSeconds: cie.holdingTime,
    nbma: [...cie.nbma],
    protocolAddress: cie.protocolAddress ?? '',
    preference: cie.preference,
  };
}

export function decodeCies(cies: readonly wire.Cie[]): Result<readonly Cie[]> {
  return f.list(cies, limits.cies, decodeCie);
}

export function decodeExtension(extension: wire.Extension): Result<Extension> {
  return f.fields({
    // 14 bits beside the compulsory bit and a reserved one.
    type: f.integer(extension.type, 0, 0x3fff),
    compulsory: ok(extension.compulsory),
    value: f.octets(extension.value, limits.extensionOctets),
  });
}

export function encodeExtension(extension: Extension): wire.Extension {
  return { type: extension.type, compulsory: extension.compulsory, value: Buffer.from(extension.value) };
}

export function decodeInterface(tunnel: wire.Interface): Result<NodeInterface> {
  const decoded = f.fields({
    kind: decodeKind(tunnel),
    publicKey: f.atom(tunnel.publicKey, parsePublicKey),
    hub: f.optionalAtom(tunnel.hubNodeId, parseNodeId),
    endpoints: f.endpoints(tunnel.endpoints, limits.endpoints),
  });
  if (!decoded.ok) return decoded;
  if ((decoded.value.kind === 'hub-tunnel') !== (decoded.value.hub !== undefined)) {
    return fail('bad-interface', 'hub: a hub tunnel names its hub, another interface none');
  }
  return decoded;
}

function decodeKind({ kind, probe }: wire.Interface): Result<InterfaceKind> {
  if (kind === wire.Interface_Kind.KIND_MULTIPOINT) return ok(probe ? 'probe' : 'multipoint');
  if (kind === wire.Interface_Kind.KIND_HUB_TUNNEL) return ok('hub-tunnel');
  return fail('bad-kind', `${String(kind)} is not a kind of interface`);
}

export function encodeInterface(tunnel: NodeInterface): wire.Interface {
  return {
    kind: tunnel.kind === 'hub-tunnel' ? wire.Interface_Kind.KIND_HUB_TUNNEL : wire.Interface_Kind.KIND_MULTIPOINT,
    publicKey: tunnel.publicKey,
    hubNodeId: tunnel.hub ?? '',
    endpoints: [...tunnel.endpoints],
    probe: tunnel.kind === 'probe',
  };
}

export function decodeTarget(target: wire.Target): Result<Target> {
  return f.fields({
    node: f.atom(target.nodeId, parseNodeId),
    name: f.atom(target.name, parseNodeName),
    address: f.atom(target.address, parseAddress),
    address6: f.optionalAddress(target.address6),
    prefixes: f.prefixes(target.prefixes, limits.nodePrefixes),
    publicKey: f.atom(target.publicKey, parsePublicKey),
    nat: ok(target.nat),
    rendezvous: f.optional(target.rendezvous, decodeRendezvous),
  });
}

export function encodeTarget(target: Target): wire.Target {
  return {
    nodeId: target.node,
    name: target.name,
    address: target.address,
    address6: target.address6 ?? '',
    prefixes: [...target.prefixes],
    publicKey: target.publicKey,
    nat: target.nat,
    rendezvous: target.rendezvous && encodeRendezvous(target.rendezvous),
  };
}

function decodeRendezvous(rendezvous: wire.Rendezvous): Result<Rendezvous> {
  return f.fields({
    startAfter: f.map(f.integer(rendezvous.startAfterMs, 0, 60_000), milliseconds),
    round: f.map(f.integer(rendezvous.roundMs, 1, 60_000), milliseconds),
    rounds: f.endpoints(rendezvous.rounds, limits.rounds),
  });
}

/** The wire has whole milliseconds. */
function encodeRendezvous(rendezvous: Rendezvous): wire.Rendezvous {
  return {
    startAfterMs: Math.round(rendezvous.startAfter),
    roundMs: Math.round(rendezvous.round),
    rounds: [...rendezvous.rounds],
  };
}
