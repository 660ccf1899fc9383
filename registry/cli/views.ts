// The JSON that scripts rely on, from what the registry sends. Names here are a promise; see docs.
import type { Binding, Event, Node, Overlay, Route, Token } from '#proto/gen/dmwg/v1/admin.ts';

export interface NodeView {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly address: string;
  readonly address6: string | null;
  readonly prefixes: readonly string[];
  readonly endpoints: readonly { readonly address: string; readonly kind: string }[];
  readonly registered: boolean;
  /** RFC 3339 in UTC; null for never. So is every moment here. */
  readonly registeredAt: string | null;
  /** Seconds. */
  readonly expiresIn: number;
  readonly nat: boolean;
  readonly connected: boolean;
  readonly tags: readonly string[];
  readonly agentVersion: string | null;
  /** Of a hub: 0 best, 255 worst; null of a spoke. */
  readonly priority: number | null;
  readonly cluster: number | null;
  /** Spokes leave this hub. */
  readonly draining: boolean | null;
  /** Rules about what it may announce. */
  readonly policy: readonly string[];
}

export interface BindingView {
  readonly prefix: string;
  readonly node: string;
  readonly address: string;
  /** The most preferred endpoint. */
  readonly nbma: string | null;
  readonly endpoints: readonly string[];
  readonly type: string;
  readonly flags: readonly string[];
  readonly created: string | null;
  /** Seconds. */
  readonly expiresIn: number;
}

export interface RouteView {
  readonly prefix: string;
  readonly node: string;
  readonly preference: number;
  readonly active: boolean;
  /** Seconds. */
  readonly age: number;
  readonly state: string;
  readonly reason: string;
}

export interface TokenView {
  readonly id: string;
  readonly role: string;
  readonly prefixes: readonly string[];
  readonly shared: boolean;
  readonly tags: readonly string[];
  readonly usesLeft: number;
  readonly expires: string | null;
  readonly created: string | null;
}

export interface EventView {
  readonly time: string | null;
  readonly kind: string;
  readonly node: string | null;
  readonly detail: string | null;
}

/** The keys are those that `dmwg overlay set` takes. */
export type OverlayView = Omit<Overlay, 'pool6'> & { readonly pool6: string | null };

/** 0 is never. */
export function moment(milliseconds: bigint): string | null {
  return milliseconds === 0n ? null : new Date(Number(milliseconds)).toISOString();
}

function orNull(text: string): string | null {
  return text === '' ? null : text;
}

export function nodeView(node: Node): NodeView {
  return {
    id: node.id,
    name: node.name,
    role: node.role,
    address: node.address,
    address6: orNull(node.address6),
    prefixes: node.prefixes,
    policy: node.policy,
    endpoints: node.endpoints.map(({ address, kind }) => ({ address, kind })),
    registered: node.registered,
    registeredAt: moment(node.registeredAtMs),
    expiresIn: node.expiresInSeconds,
    nat: node.nat,
    connected: node.connected,
    tags: node.tags,
    agentVersion: orNull(node.agentVersion),
    priority: node.role === 'hub' ? node.priority : null,
    cluster: node.role === 'hub' ? node.cluster : null,
    draining: node.role === 'hub' ? node.draining : null,
  };
}

export function bindingView(binding: Binding): BindingView {
  return {
    prefix: binding.prefix,
    node: binding.node,
    address: binding.address,
    nbma: binding.nbma[0] ?? null,
    endpoints: binding.nbma,
    type: binding.type,
    flags: binding.flags,
    created: moment(binding.createdMs),
    expiresIn: binding.expiresInSeconds,
  };
}

export function tokenView(token: Token): TokenView {
  return {
    id: token.id,
    role: token.role,
    prefixes: token.prefixes,
    shared: token.shared,
    tags: token.tags,
    usesLeft: token.usesLeft,
    expires: moment(token.expiresMs),
    created: moment(token.createdMs),
  };
}

export function eventView(event: Event): EventView {
  return { time: moment(event.timeMs), kind: event.kind, node: orNull(event.node), detail: orNull(event.detail) };
}

export function overlayView(overlay: Overlay): OverlayView {
  return {
    name: overlay.name,
    phase: overlay.phase,
    pool: overlay.pool,
    pool6: orNull(overlay.pool6),
    summaries: overlay.summaries,
    linkPrefix: overlay.linkPrefix,
    holdingTimeSeconds: overlay.holdingTimeSeconds,
    negativeHoldingTimeSeconds: overlay.negativeHoldingTimeSeconds,
    idleTimeoutSeconds: overlay.idleTimeoutSeconds,
    bfdIntervalMs: overlay.bfdIntervalMs,
    bfdMultiplier: overlay.bfdMultiplier,
    mtu: overlay.mtu,
    maxConnections: overlay.maxConnections,
    fallbackTimeSeconds: overlay.fallbackTimeSeconds,
    prefixLimit: overlay.prefixLimit,
  };
}

export function routeView({ ageSeconds, ...route }: Route): RouteView {
  const { prefix, node, preference, active, state, reason } = route;
  return { prefix, node, preference, active, age: ageSeconds, state, reason };
}
