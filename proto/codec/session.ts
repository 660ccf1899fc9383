// What a node and the registry say on a session, between gRPC and the model.
import type * as wire from '#proto/gen/dmwg/v1/nhrp.ts';
import { familyOf, lengthOf, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey } from '#proto/model/key.ts';
import { parseNodeId, parseNodeName, parseOverlayName, parsePhase } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type {
  HubConfig,
  HubPeer,
  NodeMessage,
  ObservedEndpoint,
  OverlayConfig,
  RegistryMessage,
} from '#proto/model/session.ts';
import { milliseconds, seconds } from '#proto/model/time.ts';
import * as f from './fields.ts';
import { decodeReason, reasons } from './goodbye.ts';
import { decodeNhrp, encodeNhrp } from './nhrp.ts';
import { decodeInterface, encodeInterface, limits } from './nhrp-parts.ts';
import { decodeRegistry } from './registry-endpoint.ts';
import { decodeRouteSync, encodeRouteSync } from './route-sync.ts';

/** What one message may carry of each. A sender splits what is longer. */
export const sessionLimits = {
  observedEndpoints: 4096,
  hubs: 256,
  registries: 64,
  summaries: 65_536,
  peers: 4096,
} as const;

export function decodeNodeMessage(request: wire.SessionRequest): Result<NodeMessage> {
  const body = request.body;
  switch (body?.$case) {
    case undefined:
      return fail('unknown-message', 'a message without a known body');
    case 'hello':
      return f.fields({ type: ok('hello' as const), agentVersion: f.plainText(body.value.agentVersion) });
    case 'nhrp':
      return f.fields({ type: ok('nhrp' as const), message: decodeNhrp(body.value) });
    case 'observedEndpoints':
      return f.fields({
        type: ok('observed-endpoints' as const),
        endpoints: f.list(body.value.endpoints, sessionLimits.observedEndpoints, decodeObserved),
      });
    case 'pong':
      return ok({ type: 'pong', id: body.value.id });
  }
}

export function encodeNodeMessage(message: NodeMessage): wire.SessionRequest {
  switch (message.type) {
    case 'hello':
      return { body: { $case: 'hello', value: { agentVersion: message.agentVersion } } };
    case 'nhrp':
      return { body: { $case: 'nhrp', value: encodeNhrp(message.message) } };
    case 'observed-endpoints': {
      const endpoints = message.endpoints.map((observed) => ({ ...observed }));
      return { body: { $case: 'observedEndpoints', value: { endpoints } } };
    }
    case 'pong':
      return { body: { $case: 'pong', value: { id: message.id } } };
  }
}

export function decodeRegistryMessage(response: wire.SessionResponse): Result<RegistryMessage> {
  const body = response.body;
  switch (body?.$case) {
    case undefined:
      return fail('unknown-message', 'a message without a known body');
    case 'welcome':
      return f.fields({
        type: ok('welcome' as const),
        node: f.atom(body.value.nodeId, parseNodeId),
        registryVersion: f.plainText(body.value.registryVersion),
        replica: f.plainText(body.value.replicaId),
      });
    case 'nhrp':
      return f.fields({ type: ok('nhrp' as const), message: decodeNhrp(body.value) });
    case 'overlayConfig':
      return f.fields({ type: ok('overlay-config' as const), config: decodeOverlayConfig(body.value) });
    case 'peerSync':
      return f.fields({
        type: ok('peer-sync' as const),
        snapshot: ok(body.value.snapshot),
        upsert: f.list(body.value.upsert, sessionLimits.peers, decodePeer),
        remove: f.list(body.value.removeNodeIds, sessionLimits.peers, (id) => f.atom(id, parseNodeId)),
        complete: ok(body.value.complete),
      });
    case 'routeSync': {
      const { snapshot, complete } = body.value;
      return f.map(decodeRouteSync(body.value), (routes) => ({ type: 'route-sync', snapshot, complete, ...routes }));
    }
    case 'ping':
      return ok({ type: 'ping', id: body.value.id });
    case 'goodbye':
      return f.fields({
        type: ok('goodbye' as const),
        reason: decodeReason(body.value.reason),
        detail: f.plainText(body.value.detail, 1024),
      });
  }
}

export function encodeRegistryMessage(message: RegistryMessage): wire.SessionResponse {
  switch (message.type) {
    case 'welcome': {
      const { node, registryVersion, replica } = message;
      return { body: { $case: 'welcome', value: { nodeId: node, registryVersion, replicaId: replica } } };
    }
    case 'nhrp':
      return { body: { $case: 'nhrp', value: encodeNhrp(message.message) } };
    case 'overlay-config':
      return { body: { $case: 'overlayConfig', value: encodeOverlayConfig(message.config) } };
    case 'peer-sync': {
      const { snapshot, upsert, remove, complete } = message;
      const value = { snapshot, upsert: upsert.map(encodePeer), removeNodeIds: [...remove], complete };
      return { body: { $case: 'peerSync', value } };
    }
    case 'route-sync':
      return { body: { $case: 'routeSync', value: encodeRouteSync(message) } };
    case 'ping':
      return { body: { $case: 'ping', value: { id: message.id } } };
    case 'goodbye':
      return { body: { $case: 'goodbye', value: { reason: reasons[message.reason], detail: message.detail } } };
  }
}

function decodeObserved(observed: wire.ObservedEndpoint): Result<ObservedEndpoint> {
  return f.fields({
    publicKey: f.atom(observed.publicKey, parsePublicKey),
    endpoint: f.atom(observed.endpoint, parseEndpoint),
  });
}

function decodeOverlayConfig(config: wire.OverlayConfig): Result<OverlayConfig> {
  return f.fields({
    overlay: f.atom(config.overlay, parseOverlayName),
    phase: parsePhase(config.phase),
    summaries: f.prefixes(config.summaries, sessionLimits.summaries),
    linkPrefix: f.atom(config.linkPrefix, parseLinkPrefix),
    hubs: f.list(config.hubs, sessionLimits.hubs, decodeHub),
    holdingTime: f.map(f.integer(config.holdingTimeSeconds, 1, 0xffff), seconds),
    negativeHoldingTime: f.map(f.integer(config.negativeHoldingTimeSeconds, 1, 0xffff), seconds),
    idleTimeout: f.map(f.integer(config.idleTimeoutSeconds, 1, 0xffff_ffff), seconds),
    bfdInterval: f.map(f.integer(config.bfdIntervalMs, 10, 60_000), milliseconds),
    bfdMultiplier: f.integer(config.bfdMultiplier, 1, 0xff),
    mtu: f.integer(config.mtu, 1280, 0xffff),
    maxConnections: f.u8(config.maxConnections),
    fallbackTime: f.map(f.u16(config.fallbackTimeSeconds), seconds),
    registries: f.list(config.registries, sessionLimits.registries, decodeRegistry),
    takesAdditive: ok(config.takesAdditive),
    address: f.address(config.address),
    address6: f.optionalAddress(config.address6),
    prefixes: f.prefixes(config.prefixes, limits.nodePrefixes),
  });
}

/** Link addresses have 64 bits of their own behind it. */
export function parseLinkPrefix(text: string): Result<Prefix> {
  const prefix = parsePrefix(text);
  if (!prefix.ok) return prefix;
  return familyOf(prefix.value) === 6 && lengthOf(prefix.value) === 64
    ? prefix
    : fail('bad-link-prefix', `"${text}" is not an IPv6 prefix of 64 bits`);
}

function encodeOverlayConfig(config: OverlayConfig): wire.OverlayConfig {
  return {
    overlay: config.overlay,
    phase: config.phase,
    summaries: [...config.summaries],
    linkPrefix: config.linkPrefix,
    hubs: config.hubs.map(encodeHub),
    holdingTimeSeconds: config.holdingTime,
    negativeHoldingTimeSeconds: config.negativeHoldingTime,
    idleTimeoutSeconds: config.idleTimeout,
    bfdIntervalMs: config.bfdInterval,
    bfdMultiplier: config.bfdMultiplier,
    mtu: config.mtu,
    maxConnections: config.maxConnections,
    fallbackTimeSeconds: config.fallbackTime,
    registries: config.registries.map((one) => ({ ...one })),
    takesAdditive: config.takesAdditive,
    address: config.address,
    address6: config.address6 ?? '',
    prefixes: [...config.prefixes],
  };
}

function decodeHub(hub: wire.Hub): Result<HubConfig> {
  return f.fields({
    node: f.atom(hub.nodeId, parseNodeId),
    name: f.atom(hub.name, parseNodeName),
    address: f.address(hub.address),
    address6: f.optionalAddress(hub.address6),
    publicKey: f.optionalAtom(hub.publicKey, parsePublicKey),
    endpoints: f.endpoints(hub.endpoints, limits.endpoints),
    priority: f.u8(hub.priority),
    cluster: f.u8(hub.cluster),
    draining: ok(hub.draining),
  });
}

function encodeHub(hub: HubConfig): wire.Hub {
  const { node, name, address, address6, publicKey, endpoints, priority, cluster, draining } = hub;
  return {
    nodeId: node,
    name,
    address,
    address6: address6 ?? '',
    publicKey: publicKey ?? '',
    endpoints: [...endpoints],
    priority,
    cluster,
    draining,
    prefixes: [],
  };
}

function decodePeer(peer: wire.Peer): Result<HubPeer> {
  return f.fields({
    node: f.atom(peer.nodeId, parseNodeId),
    name: f.atom(peer.name, parseNodeName),
    address: f.address(peer.address),
    address6: f.optionalAddress(peer.address6),
    interfaces: f.list(peer.interfaces, limits.interfaces, decodeInterface),
  });
}

function encodePeer(peer: HubPeer): wire.Peer {
  const { node, name, address, address6, interfaces } = peer;
  return {
    nodeId: node,
    name,
    address,
    address6: address6 ?? '',
    prefixes: [],
    interfaces: interfaces.map(encodeInterface),
  };
}
