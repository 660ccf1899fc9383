// What is asked about uplinks in several places.
import type { NodeId } from '#proto/model/names.ts';
import type { UplinkConfig } from '#proto/model/uplink.ts';
import { policyNumber } from './host.ts';
import type { AgentState, OwnInterface, Self } from './state.ts';
import type { UplinkSight } from './uplink-state.ts';

export function probeKey(hub: NodeId, uplink: string): string {
  return `${hub}:${uplink}`;
}

/** Probes tell one uplink from another: one alone needs none. */
export function isProbed({ role, uplinks }: Self): boolean {
  return role === 'spoke' && uplinks.length > 1;
}

/** Of the packets of an uplink's tunnels, and the number of its routing table: both end in our policy number. */
export function uplinkNumber({ interfacePrefix, uplinks }: Self, name: string): number {
  return policyNumber(interfacePrefix) + 0x1_0000 * (1 + uplinks.findIndex((one) => one.name === name));
}

/** The uplink by which a tunnel leaves; undefined if none are configured. */
export function uplinkOf({ uplinks }: Pick<AgentState, 'uplinks'>, own: OwnInterface): string | undefined {
  return own.kind === 'probe' ? own.uplink : uplinks.places.get(own.name)?.uplink;
}

/** Whether packets to the world have a way by it. */
export function isUsable(sight: UplinkSight | undefined): boolean {
  return sight?.routes.some(({ prefix }) => prefix.endsWith('/0')) ?? false;
}

/** By priority; of equal ones each tunnel begins with another. */
export function rankedUplinks({ uplinks }: Self, turn: number): readonly UplinkConfig[] {
  const best = (one: UplinkConfig): readonly UplinkConfig[] =>
    uplinks.filter((other) => other.priority === one.priority);
  const rank = (one: UplinkConfig): number => {
    const equals = best(one);
    return (equals.indexOf(one) - (turn % equals.length) + equals.length) % equals.length;
  };
  return [...uplinks].sort((a, b) => a.priority - b.priority || rank(a) - rank(b));
}
