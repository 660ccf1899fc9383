import type { Prefix } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { HubPeer } from '#proto/model/session.ts';
import type { Instant } from '#proto/model/time.ts';

/** What only a hub knows. */
export interface HubState {
  /** Absent until the registry or the state file has told. */
  readonly peers: ReadonlyMap<NodeId, HubPeer> | undefined;
  /** A full list that is still arriving. */
  readonly incoming: ReadonlyMap<NodeId, HubPeer> | undefined;
  /** As reported to the registry in this session. */
  readonly observed: ReadonlyMap<PublicKey, Endpoint>;
  readonly observeAt: Instant | undefined;
  /** Until then new peers are expected to show up: look often. */
  readonly eagerUntil: Instant | undefined;
  /** The same for peers that may have moved. */
  readonly curiousUntil: Instant | undefined;
  /** Spokes whose tunnel to this hub is Up, and since when. */
  readonly up: ReadonlyMap<NodeId, Instant>;
  /** The spokes that each other hub reaches, by its own word. */
  readonly reach: ReadonlyMap<NodeId, ReadonlySet<NodeId>>;
  /** Spokes that are reached by way of another hub, and by which. */
  readonly beyond: ReadonlyMap<NodeId, NodeId>;
  /** What that was chosen of, and from when on it is. */
  readonly beyondOf: readonly unknown[];
  readonly settledAt: Instant | undefined;
  /** Who carries a prefix that several spokes announce. */
  readonly carriers: ReadonlyMap<Prefix, NodeId>;
  /** What that was chosen of, and when to choose again though nothing happens. */
  readonly chosenOf: readonly unknown[];
  readonly chooseAt: Instant | undefined;
}

export const initialHub: HubState = {
  peers: undefined,
  incoming: undefined,
  observed: new Map(),
  observeAt: undefined,
  eagerUntil: undefined,
  curiousUntil: undefined,
  up: new Map(),
  reach: new Map(),
  beyond: new Map(),
  beyondOf: [],
  settledAt: undefined,
  carriers: new Map(),
  chosenOf: [],
  chooseAt: undefined,
};
