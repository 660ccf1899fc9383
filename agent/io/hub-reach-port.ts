// How hubs tell each other which spokes they reach. Adapter: hub-reach.ts.
import type { ReachLink } from '#agent/decide/transit.ts';
import type { NodeId } from '#proto/model/names.ts';

export interface HubReach {
  /** Level-triggered. `reached`: the spokes that this hub reaches. */
  readonly set: (links: ReadonlyMap<NodeId, ReachLink>, reached: ReadonlyMap<NodeId, unknown>) => void;
  readonly close: () => void;
}
