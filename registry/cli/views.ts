// The JSON that scripts rely on, from what the registry sends. Names here are a promise; see docs.
import type { Binding, Event, Node, Overlay, Token } from '#proto/gen/dmwg/v1/admin.ts';

/** RFC 3339 in UTC; null for "never" (0). */
function moment(milliseconds: bigint): string | null {
  return milliseconds === 0n ? null : new Date(Number(milliseconds)).toISOString();
}

function orNull(text: string): string | null {
  return text === '' ? null : text;
}

export function nodeView(node: Node) {
  return {
    id: node.id,
    name: node.name,
    role: node.role,
    address: node.address,
    address6: orNull(node.address6),
    prefixes: node.prefixes,
    endpoints: node.endpoints.map(({ address, kind }) => ({ address, kind })),
    registered: node.registered,
    registeredAt: moment(node.registeredAtMs),
    expiresIn: node.expiresInSeconds,
    nat: node.nat,
    connected: node.connected,
    tags: node.tags,
    agentVersion: orNull(node.agentVersion),
  };
}

export function bindingView(binding: Binding) {
  return {
    prefix: binding.prefix,
    node: binding.node,
    address: binding.address,
    // The most preferred one; all of them are in `endpoints`.
    nbma: binding.nbma[0] ?? null,
    endpoints: binding.nbma,
    type: binding.type,
    flags: binding.flags,
    created: moment(binding.createdMs),
    expiresIn: binding.expiresInSeconds,
  };
}

export function tokenView(token: Token) {
  return {
    id: token.id,
    role: token.role,
    prefixes: token.prefixes,
    tags: token.tags,
    usesLeft: token.usesLeft,
    expires: moment(token.expiresMs),
    created: moment(token.createdMs),
  };
}

export function eventView(event: Event) {
  return { time: moment(event.timeMs), kind: event.kind, node: orNull(event.node), detail: orNull(event.detail) };
}

/** The keys are those that `dmwg overlay set` takes. */
export function overlayView(overlay: Overlay) {
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
  };
}

export type NodeView = ReturnType<typeof nodeView>;
export type BindingView = ReturnType<typeof bindingView>;
export type TokenView = ReturnType<typeof tokenView>;
export type EventView = ReturnType<typeof eventView>;
export type OverlayView = ReturnType<typeof overlayView>;
