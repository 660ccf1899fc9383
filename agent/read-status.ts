// The status of a running agent: its state, and the readings of BFD and WireGuard that the state does not hold.
import type { Clock } from '#proto/kit/clock.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NhrpCounters } from '#proto/model/nhrp-counters.ts';
import type { PathId } from './decide/event.ts';
import type { PathReading } from './decide/quality-state.ts';
import type { RegistryChoice } from './decide/registry-choice.ts';
import { type BfdState, multipointName } from './decide/state.ts';
import { type Status, statusOf } from './decide/status.ts';
import type { Host } from './host.ts';
import type { Bfd } from './io/bfd-port.ts';
import type { Loop } from './loop.ts';

export interface StatusParts {
  readonly clock: Clock;
  readonly loop: Loop;
  readonly bfd: Bfd;
  readonly host: Host;
  readonly faults: readonly string[];
  readonly counters: NhrpCounters;
  readonly registries: readonly RegistryChoice[];
}

export async function readStatus({ clock, loop, bfd, host, ...shown }: StatusParts): Promise<Status> {
  const state = loop.state();
  const paths = readPaths(bfd);
  const endpoints = new Map<PublicKey, Endpoint>();
  try {
    for (const [key, peer] of await host.observePeers(multipointName(state.self))) {
      if (peer.endpoint) endpoints.set(key, peer.endpoint);
    }
  } catch {
    // There is no interface (yet): nothing to add.
  }
  return statusOf(state, { ...shown, paths, endpoints }, clock.now());
}

/** What BFD has measured by now. */
export function readPaths(bfd: Bfd): Map<PathId, PathReading & { readonly state: BfdState }> {
  const paths = new Map<PathId, PathReading & { readonly state: BfdState }>();
  for (const [path, { state, rtt, loss }] of bfd.sessions()) paths.set(path as PathId, { state, rttMs: rtt, loss });
  return paths;
}
