// What the agent asks of BFD. Adapter: bfd.ts.
import type { BfdDiagnosticName, BfdState } from '#agent/decide/bfd-packet.ts';
import type { Address } from '#proto/model/address.ts';
import type { Milliseconds, Timestamp } from '#proto/model/time.ts';

export interface BfdSessionConfig {
  /** Own link address. */
  readonly local: Address;
  /** Link address of the other end. */
  readonly remote: Address;
  /** Between packets, in both directions. */
  readonly interval: Milliseconds;
  readonly multiplier: number;
  readonly role: 'active' | 'passive';
}

export interface BfdObservation {
  readonly state: BfdState;
  readonly since: Timestamp;
  /** Least of the latest few; absent when not Up or not measured yet. */
  readonly rtt: Milliseconds | undefined;
  /** The part of the latest polls without an answer, 0 to 1; absent when not Up or too few were sent. */
  readonly loss: number | undefined;
  readonly diagnostic: BfdDiagnosticName;
  /** As last heard. `admin-down`: the other end stopped on purpose, which says nothing about the path (RFC 5882 4.2). */
  readonly remoteState: BfdState;
  readonly sendErrors: number;
}

export type BfdListener = (pathId: string, from: BfdState, to: BfdState, diagnostic: BfdDiagnosticName) => void;

export interface Bfd {
  /** Level-triggered: starts, reconfigures and stops (with one AdminDown) until these and no other sessions are there. */
  setSessions(desired: ReadonlyMap<string, BfdSessionConfig>): void;
  /** Sends a packet now: the first packet to a peer that was made anew starts WireGuard's handshake. */
  kick(pathId: string): void;
  /** Begins again in Down with a new discriminator, without a word to the other end but the first packet. */
  restart(pathId: string): void;
  sessions(): Map<string, BfdObservation>;
  /** One of them. */
  session(pathId: string): BfdObservation | undefined;
  /** Called after the packets of the transition are sent. Returns its end. Not called for sessions that are stopped. */
  onTransition(listener: BfdListener): () => void;
  /** Stops all sessions, each with one AdminDown. */
  close(): void;
}
