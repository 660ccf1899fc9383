import type { Endpoint } from '#proto/model/endpoint.ts';
import type { Instant } from '#proto/model/time.ts';
import type { RoutingState } from './routing-state.ts';

/** What was asked of the registry, and what it said (registration.ts). */
/** What a request of a registration is about. */
export type RegistrationPart = 'address' | 'address6' | 'prefixes' | 'withdrawal';

export interface Registration {
  /** What was registered last, as text; differs from what should be registered when something changed. */
  readonly fingerprint: string | undefined;
  /** The announcements that were registered last. */
  readonly announced: RoutingState['announcements'] | undefined;
  /** Requests without a reply yet, by id. */
  readonly pending: ReadonlyMap<number, RegistrationPart>;
  readonly retries: number;
  readonly nextAt: Instant | undefined;
  /** Rounds in which something was refused, since the session began. */
  readonly refusals: number;
  /** NAKs of the last round. */
  readonly refused: readonly string[];
  readonly observedEndpoint: Endpoint | undefined;
}

export const initialRegistration: Registration = {
  fingerprint: undefined,
  announced: undefined,
  pending: new Map(),
  retries: 0,
  refusals: 0,
  nextAt: undefined,
  refused: [],
  observedEndpoint: undefined,
};
