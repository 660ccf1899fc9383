// What can happen to the agent, and what it wants done besides the desired state. Both are closed unions of plain data.
import type { Address } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import { summaryOf } from '#proto/model/nhrp.ts';
import type { ExitConfig, RoutingConfig } from '#proto/model/routing.ts';
import type { NodeMessage, RegistryMessage } from '#proto/model/session.ts';
import type { Instant } from '#proto/model/time.ts';
import type { KernelRoute } from './kernel-routes.ts';
import type { Pass } from './late.ts';
import type { PathReading } from './quality-state.ts';
import type { BfdState } from './state.ts';
import type { UplinkSight } from './uplink-state.ts';

/**
 * A BFD session: a hub seen from a spoke, by its tunnel or by one uplink (probeKey); a spoke seen from its hub, by its tunnel or by a
 * probe; or the other end of a shortcut.
 */
export type PathId =
  | `hub:${NodeId}`
  | `uplink:${string}`
  | `spoke:${NodeId}`
  | `probe:${PublicKey}`
  | `direct:${NodeId}`;

export type Event =
  | { readonly kind: 'connected'; readonly endpoint: string }
  | { readonly kind: 'disconnected' }
  | { readonly kind: 'revoked'; readonly detail: string }
  | { readonly kind: 'message'; readonly message: RegistryMessage }
  | { readonly kind: 'key-made'; readonly interface: string; readonly publicKey: PublicKey }
  | { readonly kind: 'port-taken'; readonly interface: string }
  | { readonly kind: 'local-addresses'; readonly addresses: readonly Address[] }
  /** Where the registries' names lead. */
  | { readonly kind: 'registries'; readonly endpoints: readonly Endpoint[] }
  /** agent.yaml was read again. */
  | { readonly kind: 'configured'; readonly routing: RoutingConfig; readonly exit: ExitConfig | undefined }
  /** What BFD has measured. */
  | { readonly kind: 'measured'; readonly readings: ReadonlyMap<PathId, PathReading> }
  /** A look at the uplinks; those that have an interface. */
  | { readonly kind: 'uplinks'; readonly sights: ReadonlyMap<string, UplinkSight> }
  /** A look at the kernel's routes. */
  | { readonly kind: 'kernel-routes'; readonly routes: readonly KernelRoute[] }
  | { readonly kind: 'bfd'; readonly path: PathId; readonly state: BfdState; readonly remoteState: BfdState }
  /** A look at the peers of one interface. */
  | { readonly kind: 'peers'; readonly interface: string; readonly peers: ReadonlyMap<PublicKey, ObservedPeer> }
  /** Remote addresses that shortcuts carried traffic of within the idle timeout. */
  | { readonly kind: 'activity'; readonly addresses: readonly Address[] }
  /** A hub's kernel saw the first packet of a pair pass through the overlay. */
  | { readonly kind: 'indication'; readonly source: Address; readonly destination: Address; readonly head: Uint8Array }
  /** Another hub said which spokes it reaches. */
  | { readonly kind: 'reach'; readonly reach: Reach }
  /** That pass took until now. */
  | { readonly kind: 'late'; readonly pass: Pass }
  | { readonly kind: 'tick' };

export interface ObservedPeer {
  readonly endpoint: Endpoint | undefined;
  readonly rxBytes: number;
}

/** What another hub said of the spokes that it reaches. */
export interface Reach {
  readonly hub: NodeId;
  /** All that it reaches; else what changed. */
  readonly snapshot: boolean;
  readonly up: readonly NodeId[];
  readonly down: readonly NodeId[];
}

export type Effect =
  | { readonly kind: 'send'; readonly message: NodeMessage }
  | { readonly kind: 'make-key'; readonly interface: string }
  /** Make the peer anew at this endpoint, so that the next packet starts a handshake at once. */
  | {
      readonly kind: 'replace-peer';
      readonly interface: string;
      readonly publicKey: PublicKey;
      readonly endpoint: Endpoint;
    }
  /** Send to another place from now on, or from another one to where it is; the session goes on. */
  | {
      readonly kind: 'move-peer';
      readonly interface: string;
      readonly publicKey: PublicKey;
      readonly endpoint: Endpoint | 'where it is';
    }
  /** The session with the registry has to be made anew: it is reached by another way. */
  | { readonly kind: 'reconnect' }
  /** Send a BFD packet now. */
  | { readonly kind: 'kick'; readonly path: PathId }
  | { readonly kind: 'inspect-peers'; readonly interface: string }
  | { readonly kind: 'inspect-activity' }
  /** One line in the log. */
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };

export function isForPeer(effect: Effect): effect is Extract<Effect, { kind: 'replace-peer' | 'move-peer' }> {
  return effect.kind === 'replace-peer' || effect.kind === 'move-peer';
}

/** One step: its time, its randomness ([0, 1)), and the effects that it collects. */
export interface Turn {
  readonly now: Instant;
  readonly random: () => number;
  readonly effects: Effect[];
}

export function note(turn: Turn, message: string, fields: Readonly<Record<string, unknown>>): void {
  turn.effects.push({ kind: 'log', level: 'info', message, fields });
}

export function warn(turn: Turn, message: string, fields: Readonly<Record<string, unknown>>): void {
  turn.effects.push({ kind: 'log', level: 'warn', message, fields });
}

/** For logs: what an event is about. */
export function eventSubject(event: Event): unknown {
  if (event.kind === 'bfd') return `${event.path} ${event.state}`;
  if (event.kind === 'indication') return `${event.source} ${event.destination}`;
  if (event.kind !== 'message') return undefined;
  return event.message.type === 'nhrp' ? summaryOf(event.message.message) : event.message.type;
}

type PathKind = 'hub' | 'uplink' | 'spoke' | 'probe' | 'direct';

/** What a path leads to, and which. */
export function splitPath(path: Extract<Event, { kind: 'bfd' }>['path']): [PathKind, never] {
  const colon = path.indexOf(':');
  return [path.slice(0, colon) as PathKind, path.slice(colon + 1) as never];
}
