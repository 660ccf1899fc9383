// What a node and the registry say to each other on a session, as values.
import type { Address, Prefix } from './address.ts';
import type { Endpoint } from './endpoint.ts';
import type { PublicKey } from './key.ts';
import type { NodeId, NodeName, Phase } from './names.ts';
import type { NhrpMessage, NodeInterface } from './nhrp.ts';
import type { LearnedRoute } from './route.ts';
import type { Milliseconds, Seconds } from './time.ts';

export interface HubConfig {
  readonly node: NodeId;
  readonly name: NodeName;
  readonly address: Address;
  readonly address6: Address | undefined;
  /** Absent until the hub has registered once. */
  readonly publicKey: PublicKey | undefined;
  readonly endpoints: readonly Endpoint[];
  /** 0 best, 255 worst. */
  readonly priority: number;
  readonly cluster: number;
  /** It is to be stopped: whoever has another hub leaves it. */
  readonly draining: boolean;
}

/** Where a replica of the registry is reached. */
export interface RegistryEndpoint {
  /** host:port */
  readonly address: string;
  /** Within its cluster: 0 best, 255 worst. */
  readonly priority: number;
  /** A lower one comes before all of a higher one. */
  readonly cluster: number;
}

export interface OverlayConfig {
  readonly overlay: string;
  readonly phase: Phase;
  /** Pools and configured summaries: what goes to a hub unless something more specific is known. */
  readonly summaries: readonly Prefix[];
  readonly linkPrefix: Prefix;
  readonly hubs: readonly HubConfig[];
  readonly holdingTime: Seconds;
  readonly negativeHoldingTime: Seconds;
  readonly idleTimeout: Seconds;
  readonly bfdInterval: Milliseconds;
  readonly bfdMultiplier: number;
  readonly mtu: number;
  /** Hub tunnels that a spoke keeps up in each cluster; 0: to all hubs of the cluster. */
  readonly maxConnections: number;
  /** A better hub takes its place back after it has been Up for so long. */
  readonly fallbackTime: Seconds;
  /** Replicas of the registry that nodes may use, best first. */
  readonly registries: readonly RegistryEndpoint[];
  /** The registry takes additive registrations. */
  readonly takesAdditive: boolean;
  /** The node's own. */
  readonly address: Address;
  readonly address6: Address | undefined;
  readonly prefixes: readonly Prefix[];
}

/** A node as a hub must know it; what it announces comes with the routes. */
export interface HubPeer {
  readonly node: NodeId;
  readonly name: NodeName;
  readonly address: Address;
  readonly address6: Address | undefined;
  readonly interfaces: readonly NodeInterface[];
}

export interface ObservedEndpoint {
  readonly publicKey: PublicKey;
  readonly endpoint: Endpoint;
}

export type GoodbyeReason = 'draining' | 'revoked' | 'replaced' | 'protocol-error';

/** From a node. */
export type NodeMessage =
  | { readonly type: 'hello'; readonly agentVersion: string }
  | { readonly type: 'nhrp'; readonly message: NhrpMessage }
  | { readonly type: 'observed-endpoints'; readonly endpoints: readonly ObservedEndpoint[] }
  | { readonly type: 'pong'; readonly id: bigint };

/** From the registry. */
export type RegistryMessage =
  | { readonly type: 'welcome'; readonly node: NodeId; readonly registryVersion: string; readonly replica: string }
  | { readonly type: 'nhrp'; readonly message: NhrpMessage }
  | { readonly type: 'overlay-config'; readonly config: OverlayConfig }
  | {
      readonly type: 'peer-sync';
      readonly snapshot: boolean;
      readonly upsert: readonly HubPeer[];
      readonly remove: readonly NodeId[];
      readonly complete: boolean;
    }
  | {
      readonly type: 'route-sync';
      readonly snapshot: boolean;
      readonly upsert: readonly LearnedRoute[];
      readonly remove: readonly Prefix[];
      readonly complete: boolean;
    }
  | { readonly type: 'ping'; readonly id: bigint }
  | { readonly type: 'goodbye'; readonly reason: GoodbyeReason; readonly detail: string };
