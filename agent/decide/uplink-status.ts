// What the agent shows of its uplinks.
import type { PathId } from './event.ts';
import type { PathReading } from './quality-state.ts';
import { percentOf } from './readings.ts';
import { type AgentState, multipointName } from './state.ts';
import { isProbed, isUsable, probeKey } from './uplinks.ts';

export interface UplinkStatus {
  readonly name: string;
  /** Null while there is none. */
  readonly interface: string | null;
  readonly priority: number;
  /** Whether a hub is reached by it; of a single one, whether the host has a way by it. */
  readonly state: 'up' | 'down';
  /** Direct tunnels and the registry go by it. */
  readonly active: boolean;
  /** Hub tunnels that leave by it, by the name of the hub. */
  readonly hubs: readonly string[];
  readonly addresses: readonly string[];
  readonly gateway: string | null;
  /** To the nearest hub. */
  readonly rttMs: number | null;
  /** To the hub with the least: percent of packets there and back. */
  readonly loss: number | null;
}

export function uplinkStatus(state: AgentState, paths: ReadonlyMap<PathId, PathReading>): UplinkStatus[] {
  const { self, uplinks, hubs } = state;
  const active = uplinks.places.get(multipointName(self))?.uplink;
  return self.uplinks.map(({ name, interface: configured, priority }) => {
    const sight = uplinks.sights?.get(name);
    const keys = [...hubs.keys()].map((hub) => probeKey(hub, name));
    const reached = keys.some((key) => uplinks.probes.get(key)?.bfd === 'up');
    const rtts = keys.flatMap((key) => paths.get(`uplink:${key}`)?.rttMs ?? []);
    const losses = keys.flatMap((key) => paths.get(`uplink:${key}`)?.loss ?? []);
    const up = isUsable(sight) && (reached || !isProbed(self));
    return {
      name,
      interface: sight?.device ?? configured ?? null,
      priority,
      state: up ? 'up' : 'down',
      active: name === active,
      hubs: [...hubs.values()]
        .filter((path) => path.place !== 'none' && uplinks.places.get(path.interface)?.uplink === name)
        .map(({ hub }) => hub.name),
      addresses: sight?.addresses ?? [],
      gateway: sight?.routes.find(({ prefix, via }) => prefix.endsWith('/0') && via !== undefined)?.via ?? null,
      rttMs: rtts.length === 0 ? null : Math.min(...rtts),
      loss: percentOf(losses.length === 0 ? undefined : Math.min(...losses)),
    };
  });
}

/** What is wrong with them, in words. */
export function uplinkFaults({ self, uplinks: { sights } }: AgentState): string[] {
  if (!sights) return [];
  return self.uplinks
    .filter(({ name }) => !isUsable(sights.get(name)))
    .map(({ name }) => {
      const device = sights.get(name)?.device;
      return device === undefined
        ? `uplink ${name}: its interface is not there`
        : `uplink ${name}: the host has no default route by ${device}; name its gateway in agent.yaml if it should have none`;
    });
}
