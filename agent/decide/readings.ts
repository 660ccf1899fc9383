import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NhrpCounters } from '#proto/model/nhrp-counters.ts';
import type { PathId } from './event.ts';
import type { PathReading } from './quality-state.ts';
import type { RegistryChoice } from './registry-choice.ts';
import type { BfdState } from './state.ts';

/** What the state does not hold: readings of BFD and WireGuard. */
export interface Readings {
  readonly paths: ReadonlyMap<PathId, PathReading & { readonly state: BfdState }>;
  readonly endpoints: ReadonlyMap<PublicKey, Endpoint>;
  /** Faults of the last pass that still stand. */
  readonly faults: readonly string[];
  /** NHRP messages since the agent started. */
  readonly counters: NhrpCounters;
  /** In the order in which they are tried. */
  readonly registries: readonly RegistryChoice[];
}

/** As it is shown. */
export function measuredOf(
  { paths }: Readings,
  path: PathId,
): { readonly rttMs: number | null; readonly loss: number | null } {
  const { rttMs = null, loss } = paths.get(path) ?? {};
  return { rttMs, loss: percentOf(loss) };
}

export function percentOf(loss: number | undefined): number | null {
  return loss === undefined ? null : Math.round(loss * 1000) / 10;
}
