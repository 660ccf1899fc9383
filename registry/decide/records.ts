// What the registry stores, as values. Their stored form (versioned JSON) belongs to registry/store. Pure: imports
// proto/model only.
import type { Address, Prefix } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId, NodeName, Phase, Role } from '#proto/model/names.ts';
import type { NodeInterface } from '#proto/model/nhrp.ts';
import type { PrefixRule } from '#proto/model/prefix-list.ts';
import type { RegistryEndpoint } from '#proto/model/session.ts';
import type { Milliseconds, Seconds, Timestamp } from '#proto/model/time.ts';

/** The overlay's own settings; one record. */
export interface OverlayRecord {
  readonly name: string;
  readonly phase: Phase;
  readonly pool: Prefix;
  readonly pool6: Prefix | undefined;
  readonly summaries: readonly Prefix[];
  /** The /64 of all link addresses, fixed at init. */
  readonly linkPrefix: Prefix;
  readonly holdingTime: Seconds;
  readonly negativeHoldingTime: Seconds;
  readonly idleTimeout: Seconds;
  readonly bfdInterval: Milliseconds;
  readonly bfdMultiplier: number;
  readonly mtu: number;
  /** Hub tunnels that a spoke keeps up in each cluster; 0: to all hubs of the cluster. */
  readonly maxConnections: number;
  /** How long a better hub must be Up before it takes its place back. */
  readonly fallbackTime: Seconds;
  /** That one node may announce. */
  readonly prefixLimit: number;
}

/** An enrolled node, from enrolment until it leaves or is revoked. */
export interface NodeRecord {
  readonly id: NodeId;
  readonly name: NodeName;
  readonly role: Role;
  readonly address: Address;
  readonly address6: Address | undefined;
  /** What it may announce, claimed for it alone. */
  readonly prefixes: readonly Prefix[];
  readonly tags: readonly string[];
  /** Public endpoints of a hub. */
  readonly endpoints: readonly Endpoint[];
  /** Of a hub: 0 best, 255 worst. */
  readonly priority: number;
  /** Of a hub, 0 to 255: in each cluster spokes keep up tunnels to the best hubs. */
  readonly cluster: number;
  /** Of a hub that is to be stopped: spokes leave it. */
  readonly draining: boolean;
  readonly createdAt: Timestamp;
  /** What the operator allowed or denied since then. */
  readonly policy: readonly PolicyRule[];
}

export interface PolicyRule extends PrefixRule {
  readonly action: 'allow' | 'deny';
  /** Nodes that have such a rule may announce the same prefix. */
  readonly shared: boolean;
}

/** What a node registered. Written when it changes, not when it is refreshed. */
export interface BindingRecord {
  readonly node: NodeId;
  readonly interfaces: readonly NodeInterface[];
  /** What it may announce and does, by length. */
  readonly announcements: readonly Announcement[];
  /** Asked for in vain, not all of very many. */
  readonly refused: readonly RefusedAnnouncement[];
  readonly unique: boolean;
  readonly mtu: number;
  readonly holdingTime: Seconds;
  readonly registeredAt: Timestamp;
  readonly agentVersion: string;
  /** Where a hub sees the node's interfaces. */
  readonly observed: readonly ObservedRecord[];
  /** When the session ended; the holding time counts from here. Absent while a replica holds the session. */
  readonly lostAt: Timestamp | undefined;
}

export interface Announcement {
  readonly prefix: Prefix;
  /** 255 best, 0 unspecified (RFC 2332 5.2.0.1). */
  readonly preference: number;
  /** When it was announced with this preference. */
  readonly since: Timestamp;
}

export interface RefusedAnnouncement extends Announcement {
  readonly reason: string;
  /** It may be announced, once it does not flap any more. */
  readonly damped?: true | undefined;
}

export interface ObservedRecord {
  readonly publicKey: PublicKey;
  readonly endpoint: Endpoint;
  readonly hub: NodeId;
}

export interface TokenRecord {
  readonly id: string;
  /** SHA-256 of the secret, hexadecimal. */
  readonly secretHash: string;
  readonly role: Role;
  readonly prefixes: readonly Prefix[];
  /** Several nodes may announce the same ones. */
  readonly shared: boolean;
  readonly tags: readonly string[];
  readonly usesLeft: number;
  readonly expiresAt: Timestamp;
  readonly createdAt: Timestamp;
}

/**
 * A node that is shut out, written when its record goes. Only this record says so: a node that is merely missing may be known
 * again when lost data is restored. Kept until the node's last certificate has expired.
 */
export interface RevocationRecord {
  readonly node: NodeId;
  readonly name: NodeName;
  readonly at: Timestamp;
  readonly reason: RevocationReason;
  /** What led to it, for others to forget. Absent and empty in records of old. */
  readonly address: Address | undefined;
  readonly address6: Address | undefined;
  readonly prefixes: readonly Prefix[];
}

/** The operator's order to forget what was told before it. Kept until nobody can hold that any more. */
export interface ClearRecord {
  readonly id: string;
  readonly classes: readonly Prefix[];
  /** The revision of the store that it was decided on: what was told from a later one stays. */
  readonly after: number;
  readonly until: Timestamp;
}

/** By the operator, or by the node itself. */
export type RevocationReason = 'revoked' | 'left';

/** Which replica holds a node's session. Goes with the replica's lease. */
export interface SessionRecord {
  readonly node: NodeId;
  readonly replica: string;
}

/** A running replica. Goes with its lease. */
export interface ReplicaRecord {
  readonly id: string;
  /** host:port where the other replicas reach it. */
  readonly address: string;
  /** Where nodes reach it; absent: they are not told of it. */
  readonly public?: RegistryEndpoint | undefined;
  /** Nodes leave it, as it is to be stopped. */
  readonly draining?: boolean | undefined;
  /** Where join tokens say that the registry is: host:port. */
  readonly joinedAt?: readonly string[] | undefined;
}
