// What serving needs, made once in registry/main.ts. serve/ takes requests in, asks a decider, commits to the store and
// answers; it may import decide/, the store's port, the codecs, generated code, the kit and grpc-js. Expected failures are
// Faults, which errors.ts turns into gRPC status; an exception is a bug or a failed device.
import type { CertificateAuthority } from '#proto/kit/certificate.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Seconds } from '#proto/model/time.ts';
import type { ReplicaRecord } from '#registry/decide/records.ts';
import type { Store } from '#registry/store/port.ts';
import type { Events } from './events.ts';
import type { RegistryClock } from './holding-clock.ts';
import type { Metrics } from './metrics.ts';
import type { Traffic } from './traffic.ts';

export interface RegistryContext {
  readonly overlay: string;
  readonly self: ReplicaRecord;
  readonly store: Store;
  readonly ca: CertificateAuthority;
  /** Where nodes reach the registry, for join tokens: host:port. */
  readonly addresses: readonly string[];
  /** Of the certificates of nodes. */
  readonly nodeValidity: Seconds;
  readonly clock: RegistryClock;
  readonly log: Logger;
  readonly events: Events;
  readonly metrics: Metrics;
  readonly traffic: Traffic;
}
