import type { Address } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { NodeMessage } from '#proto/model/session.ts';
import type { Change } from './decide/change.ts';
import type { BfdSession } from './decide/desired-bfd.ts';
import type { ObservedPeer, PathId } from './decide/event.ts';
import type { HostState } from './decide/host.ts';
import type { Attempt } from './decide/retry.ts';
import type { AgentState } from './decide/state.ts';
import type { ReachLink } from './decide/transit.ts';

/** What the loop needs of the world. */
export interface World {
  observe(sysctls: ReadonlyMap<string, string>): Promise<HostState>;
  /** Does what it can; an error per change that failed. */
  apply(changes: readonly Change[]): Promise<readonly Attempt[]>;
  makeKey(name: string): Promise<PublicKey>;
  observePeers(name: string): Promise<ReadonlyMap<PublicKey, ObservedPeer>>;
  observeActivity(): Promise<readonly Address[]>;
  observeLocalAddresses(state: AgentState): Promise<readonly Address[]>;
  send(message: NodeMessage): void;
  setBfd(sessions: ReadonlyMap<PathId, BfdSession>): void;
  kickBfd(path: PathId): void;
  /** Other hubs, and the spokes that they are told to be reached from here. */
  setReach(links: ReadonlyMap<NodeId, ReachLink>, reached: ReadonlyMap<NodeId, unknown>): void;
  /** Whether first packets are to be noticed. */
  setNoticing(wanted: boolean): void;
  /** The state changed: keep it. */
  save(state: AgentState): void;
}
