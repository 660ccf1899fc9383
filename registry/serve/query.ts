import { encodeCounters } from '#proto/codec/nhrp-counters.ts';
import type { GetCountersRequest, GetCountersResponse, Overlay, QueryServiceServer } from '#proto/gen/dmwg/v1/admin.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { OverlayRecord } from '#registry/decide/records.ts';
import { findNode } from '#registry/decide/removal.ts';
import { bindingRows, nodeRows } from '#registry/decide/visible.ts';
import { routeRows } from '#registry/decide/visible-routes.ts';
import { type Authenticate, onceReady } from './caller.ts';
import type { RegistryContext } from './context.ts';
import type { Sessions } from './sessions.ts';
import { OneEach } from './one-each.ts';
import { unary } from './unary.ts';

const readers = ['admin', 'node'] as const;

export function queryService(
  context: RegistryContext,
  sessions: Pick<Sessions, 'open'>,
  authenticate: Authenticate,
): QueryServiceServer {
  const { store, clock, events } = context;
  const ready = onceReady(authenticate, () => store.snapshot());
  const turns = new OneEach();
  return {
    listNodes: unary(context, ready, readers, (_, caller) =>
      turns.pass(caller, () =>
        ok({
          nodes: nodeRows(store.snapshot(), clock.held()).map(({ registeredAt, expiresIn, ...row }) => ({
            ...row,
            prefixes: [...row.prefixes],
            endpoints: [...row.endpoints],
            tags: [...row.tags],
            policy: [...row.policy],
            registeredAtMs: BigInt(registeredAt),
            expiresInSeconds: expiresIn,
          })),
        }),
      ),
    ),
    listBindings: unary(context, ready, readers, (_, caller) =>
      turns.pass(caller, () =>
        ok({
          bindings: bindingRows(store.snapshot(), clock.held()).map(({ created, expiresIn, ...row }) => ({
            ...row,
            nbma: [...row.nbma],
            flags: [...row.flags],
            createdMs: BigInt(created),
            expiresInSeconds: expiresIn,
          })),
        }),
      ),
    ),
    listRoutes: unary(context, ready, readers, (_, caller) =>
      turns.pass(caller, () =>
        ok({
          routes: routeRows(store.snapshot(), clock.held()).map(({ age, ...row }) => ({ ...row, ageSeconds: age })),
        }),
      ),
    ),
    // Also without data: the events say what became of it.
    listEvents: unary(context, authenticate, readers, () =>
      ok({ events: events.list().map(({ time, ...event }) => ({ ...event, timeMs: BigInt(time) })) }),
    ),
    getOverlay: unary(context, ready, readers, () => {
      const { overlay } = store.snapshot();
      return overlay
        ? ok({ overlay: overlayMessage(overlay) })
        : fail('no-overlay', 'the overlay is not initialised yet');
    }),
    getCounters: unary(context, ready, readers, (request, caller) =>
      turns.pass(caller, () => getCounters(context, sessions, request)),
    ),
  };
}

/** Of this replica, and of the nodes that have their session here. */
function getCounters(
  { store, traffic, self }: RegistryContext,
  sessions: Pick<Sessions, 'open'>,
  request: GetCountersRequest,
): Result<GetCountersResponse> {
  const { nodes } = store.snapshot();
  const asked = request.node === '' ? undefined : findNode(store.snapshot(), request.node);
  if (asked && !asked.ok) return asked;
  const shown = [...sessions.open.values()].filter(({ node }) => !asked || node === asked.value.id);
  return ok({
    replica: self.id,
    sinceMs: BigInt(traffic.since),
    total: encodeCounters(traffic.total),
    nodes: shown
      .map(({ node, since, counter }) => ({
        id: node,
        name: nodes.get(node)?.name ?? node,
        sinceMs: BigInt(since),
        counters: encodeCounters(counter.read()),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  });
}

export function overlayMessage(overlay: OverlayRecord): Overlay {
  return {
    name: overlay.name,
    phase: overlay.phase,
    pool: overlay.pool,
    pool6: overlay.pool6 ?? '',
    summaries: [...overlay.summaries],
    linkPrefix: overlay.linkPrefix,
    holdingTimeSeconds: overlay.holdingTime,
    negativeHoldingTimeSeconds: overlay.negativeHoldingTime,
    idleTimeoutSeconds: overlay.idleTimeout,
    bfdIntervalMs: overlay.bfdInterval,
    bfdMultiplier: overlay.bfdMultiplier,
    mtu: overlay.mtu,
    maxConnections: overlay.maxConnections,
    fallbackTimeSeconds: overlay.fallbackTime,
    prefixLimit: overlay.prefixLimit,
  };
}
