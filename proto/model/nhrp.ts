// NHRP messages (RFC 2332 section 5) as values. The gRPC codec and the packet codec both end here.
import type { Address } from './address.ts';
import type { Endpoint } from './endpoint.ts';
import type { PublicKey } from './key.ts';
import type { NodeId, NodeName } from './names.ts';
import type { Prefix } from './address.ts';
import type { Milliseconds, Seconds } from './time.ts';

/** CIE codes, RFC 2332 5.2.0.1 and 5.2.2 to 5.2.4. */
export const cieCode = {
  ok: 0,
  prohibited: 4,
  noResources: 5,
  noBinding: 12,
  notUnique: 13,
  alreadyRegistered: 14,
} as const;

/** Error Indication codes, RFC 2332 5.2.7. */
export const errorCode = {
  unrecognisedExtension: 1,
  loop: 3,
  addressUnreachable: 6,
  protocolError: 7,
  sduTooBig: 8,
  invalidExtension: 9,
  invalidReply: 10,
  authenticationFailure: 11,
  hopCountExceeded: 15,
} as const;

export const defaultHopCount = 16;
/** Stands for "exactly one address", RFC 2332 5.2.0.1. */
export const uniquePrefixLength = 0xff;

export interface Cie {
  readonly code: number;
  /** Bits, or 0xFF for exactly one address. */
  readonly prefixLength: number;
  /** Octets; 0 is unspecified. */
  readonly mtu: number;
  readonly holdingTime: Seconds;
  /** First = most preferred. */
  readonly nbma: readonly Endpoint[];
  readonly protocolAddress: Address | undefined;
  /** 255 best, 0 unspecified. */
  readonly preference: number;
}

export interface Extension {
  readonly type: number;
  readonly compulsory: boolean;
  readonly value: Uint8Array;
}

export interface NhrpHeader {
  readonly hopCount: number;
  readonly requestId: number;
  readonly sourceNbma: Endpoint | undefined;
  readonly source: Address;
  readonly destination: Address;
  readonly extensions: readonly Extension[];
}

/** Probes carry nothing: each shows whether the hubs are reached by one uplink. */
export type InterfaceKind = 'multipoint' | 'hub-tunnel' | 'probe';

/** One WireGuard interface of a node. */
export interface NodeInterface {
  readonly kind: InterfaceKind;
  readonly publicKey: PublicKey;
  /** Hub tunnels only. */
  readonly hub: NodeId | undefined;
  readonly endpoints: readonly Endpoint[];
}

/** When and where both ends of a shortcut start. */
export interface Rendezvous {
  /** From the arrival of the message. */
  readonly startAfter: Milliseconds;
  readonly round: Milliseconds;
  /** The other end's endpoint in each round. */
  readonly rounds: readonly Endpoint[];
}

/** The node behind a binding: what WireGuard needs beyond RFC 2332. */
export interface Target {
  readonly node: NodeId;
  readonly name: NodeName;
  readonly address: Address;
  readonly address6: Address | undefined;
  readonly prefixes: readonly Prefix[];
  readonly publicKey: PublicKey;
  readonly nat: boolean;
  readonly rendezvous: Rendezvous | undefined;
}

export interface ResolutionRequest {
  readonly type: 'resolution-request';
  readonly router: boolean;
  readonly authoritativeOnly: boolean;
  readonly unique: boolean;
  readonly sourceStable: boolean;
  readonly cies: readonly Cie[];
  readonly target: Target | undefined;
}

export interface ResolutionReply {
  readonly type: 'resolution-reply';
  readonly router: boolean;
  readonly authoritative: boolean;
  readonly destinationStable: boolean;
  readonly unique: boolean;
  readonly sourceStable: boolean;
  readonly cies: readonly Cie[];
  readonly target: Target | undefined;
}

export interface RegistrationRequest {
  readonly type: 'registration-request';
  readonly unique: boolean;
  readonly cies: readonly Cie[];
  readonly interfaces: readonly NodeInterface[];
  /** Without U: comes to what was announced before, instead of replacing it. */
  readonly additive: boolean;
}

export interface RegistrationReply {
  readonly type: 'registration-reply';
  readonly unique: boolean;
  readonly cies: readonly Cie[];
  readonly observedEndpoint: Endpoint | undefined;
}

export interface PurgeRequest {
  readonly type: 'purge-request';
  readonly noReply: boolean;
  readonly cies: readonly Cie[];
}

export interface PurgeReply {
  readonly type: 'purge-reply';
  readonly noReply: boolean;
  readonly cies: readonly Cie[];
}

export interface ErrorIndication {
  readonly type: 'error-indication';
  readonly code: number;
  /** Octets into the offending message. */
  readonly offset: number;
  readonly contents: Uint8Array;
}

export interface TrafficIndication {
  readonly type: 'traffic-indication';
  readonly contents: Uint8Array;
}

export type NhrpBody =
  | ResolutionRequest
  | ResolutionReply
  | RegistrationRequest
  | RegistrationReply
  | PurgeRequest
  | PurgeReply
  | ErrorIndication
  | TrafficIndication;

export type NhrpMessage<B extends NhrpBody = NhrpBody> = NhrpHeader & { readonly body: B };

/** For logs: the type, request id and addresses of a message. */
export function summaryOf({ body, requestId, source, destination }: NhrpMessage): {
  readonly type: NhrpBody['type'];
  readonly requestId: number;
  readonly source: Address;
  readonly destination: Address;
} {
  return { type: body.type, requestId, source, destination };
}
