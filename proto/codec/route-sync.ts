import type * as wire from '#proto/gen/dmwg/v1/nhrp.ts';
import { parsePrefix } from '#proto/model/address.ts';
import { parseNodeId, parseNodeName } from '#proto/model/names.ts';
import { fail, type Result } from '#proto/model/result.ts';
import type { LearnedRoute, RouteOrigin } from '#proto/model/route.ts';
import type { RegistryMessage } from '#proto/model/session.ts';
import * as f from './fields.ts';

type RouteSync = Extract<RegistryMessage, { type: 'route-sync' }>;

/** What one message may carry. A sender splits what is longer. */
export const routeLimits = { routes: 16_384, origins: 64 } as const;

export function decodeRouteSync(sync: wire.RouteSync): Result<Omit<RouteSync, 'type' | 'snapshot' | 'complete'>> {
  return f.fields({
    upsert: f.list(sync.upsert, routeLimits.routes, decodeRoute),
    remove: f.prefixes(sync.removePrefixes, routeLimits.routes),
  });
}

export function encodeRouteSync({ snapshot, upsert, remove, complete }: RouteSync): wire.RouteSync {
  return { snapshot, upsert: upsert.map(encodeRoute), removePrefixes: [...remove], complete };
}

function decodeRoute(route: wire.LearnedRoute): Result<LearnedRoute> {
  if (route.origins.length === 0) return fail('no-origin', `nobody announces "${route.prefix.slice(0, 64)}"`);
  return f.fields({
    prefix: f.atom(route.prefix, parsePrefix),
    origins: f.list(route.origins, routeLimits.origins, decodeOrigin),
  });
}

function decodeOrigin(origin: wire.RouteOrigin): Result<RouteOrigin> {
  const fields = {
    node: f.atom(origin.nodeId, parseNodeId),
    name: f.atom(origin.name, parseNodeName),
    preference: f.u8(origin.preference),
  };
  return origin.address === '' ? f.fields(fields) : f.fields({ ...fields, address: f.address(origin.address) });
}

function encodeRoute({ prefix, origins }: LearnedRoute): wire.LearnedRoute {
  return {
    prefix,
    origins: origins.map(({ node, name, preference, address = '' }) => ({ nodeId: node, name, preference, address })),
  };
}
