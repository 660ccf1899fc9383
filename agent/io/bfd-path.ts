// A BFD session with its socket and its times, as bfd.ts holds it.
import type { BfdSession } from '#agent/decide/bfd-session.ts';
import type { Instant, Timestamp } from '#proto/model/time.ts';
import type { BfdLink } from './bfd-link.ts';
import type { BfdSessionConfig } from './bfd-port.ts';
import type { Sleeper } from './bfd-wakeups.ts';

export interface Link {
  readonly sockets: BfdLink;
  readonly paths: Set<Path>;
}

export interface Path extends Sleeper {
  readonly id: string;
  readonly config: BfdSessionConfig;
  readonly link: Link;
  session: BfdSession;
  /** From when on a tick does something. */
  mayAt: Instant;
  since: Timestamp;
  sendErrors: number;
  readonly sent: (error: Error | null) => void;
}
