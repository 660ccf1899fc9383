// Equal-cost hubs (ECMP): with `loadSharing` in agent.yaml, hubs of one cluster and priority carry a spoke's traffic together, each
// flow by one of them. The kernel shares it out by a multipath route; a hub that goes Down leaves it at once.
import type { NodeId } from '#proto/model/names.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import { multipathHash } from './host.ts';
import type { AgentState, HubPath } from './state.ts';

/** Those that are as good as the active hub, and may carry traffic; sorted, without it. The same list if nothing changed. */
export function sharingWith(
  { self, sharing: known }: Pick<AgentState, 'self' | 'sharing'>,
  active: HubPath | undefined,
  hubs: ReadonlyMap<NodeId, HubPath>,
  mayJoin: (path: HubPath, active: HubPath) => boolean,
): readonly NodeId[] {
  const sharing: NodeId[] = [];
  if (self.routing.loadSharing !== 'off' && active?.place === 'connected') {
    for (const [node, path] of hubs) {
      if (path === active || path.place !== 'connected') continue;
      const equal = path.hub.cluster === active.hub.cluster && path.hub.priority === active.hub.priority;
      if (equal && (known.includes(node) || mayJoin(path, active))) sharing.push(node);
    }
  }
  sharing.sort();
  return sharing.join() === known.join() ? known : sharing;
}

/** The active hub, and those that share with it. */
export function carryingHubs({
  hubs,
  activeHub,
  sharing,
}: Pick<AgentState, 'hubs' | 'activeHub' | 'sharing'>): HubPath[] {
  const nodes = activeHub === undefined ? [] : [activeHub, ...sharing];
  return nodes.flatMap((node) => hubs.get(node) ?? []);
}

/** For flows: only when asked for, as it is for all of this host's multipath routes. */
export function sharingSysctls({ self }: Pick<AgentState, 'self'>, config: OverlayConfig): [string, string][] {
  if (self.role === 'hub' || self.routing.loadSharing !== 'flows') return [];
  const names = config.address6 ? [multipathHash[4], multipathHash[6]] : [multipathHash[4]];
  return names.map((name) => [name, '1']);
}
