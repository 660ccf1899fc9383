import type { Address } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeMessage } from '#proto/model/session.ts';
import type { Change } from './decide/change.ts';
import type { BfdSession } from './decide/desired-bfd.ts';
import type { ObservedPeer, PathId } from './decide/event.ts';
import type { HostState } from './decide/host.ts';
import type { Attempt } from './decide/retry.ts';
import type { AgentState, BfdState } from './decide/state.ts';

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
  /** Undefined: there is no such session. */
  readonly bfdNow: (path: PathId) => BfdState | undefined;
  /** The session with the registry goes another way now. */
  reconnect(): void;
  /** Level-triggered: first packets are noticed if they are to be, and other hubs told what is reached from here. */
  attend(state: AgentState): void;
  /** The state changed: keep it. */
  save(state: AgentState): void;
}
