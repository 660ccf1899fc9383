// The session with the registry as the rest of the agent sees it.
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import type { NodeMessage, RegistryMessage } from '#proto/model/session.ts';

/** What the session does not answer by itself. */
export type RegistryPush = Exclude<RegistryMessage, { type: 'welcome' | 'ping' | 'goodbye' }>;

/** Registries by host:port, in the order in which they are tried. */
export interface Registries {
  /** At least one. */
  count(): number;
  /** The one to try after this one; the first for undefined, and for one that is not known any more. */
  after(address: string | undefined): string;
  /** Those to leave this one for, best first. */
  better(address: string): readonly string[];
}

export interface SessionHandlers {
  /** After Welcome. `endpoint` is the registry's host:port. */
  onConnected(connection: { readonly endpoint: string }): void;
  /** Only after onConnected, once for each. */
  onDisconnected(reason: string): void;
  /** Only between onConnected and onDisconnected. */
  onMessage(message: RegistryPush): void;
  /** The registry shut this node out: not one that merely does not know it. Told again at every attempt that is refused for it. */
  onRevoked(detail: string): void;
}

export interface Session {
  /** Connects, and connects again, until `signal` aborts. Never rejects for anything that the network or the registry does. */
  run(signal: AbortSignal, handlers: SessionHandlers): Promise<void>;
  /** False: not connected, or the queue is full and the session ends; the message is dropped. */
  send(message: NodeMessage): boolean;
  /** Connects anew, as the way to the registry is another one now. */
  readonly reconnect: () => void;
  /** Connects anew, with this identity from now on. */
  replaceIdentity(identity: ClientIdentity): void;
}
