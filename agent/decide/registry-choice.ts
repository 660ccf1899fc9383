// Which registry a node has its session with: NHS choice as for hubs, but for one connection, as all replicas know the same.
import type { NodeId } from '#proto/model/names.ts';
import type { RegistryEndpoint } from '#proto/model/session.ts';

/** One that may be asked. */
export interface RegistryChoice {
  /** host:port */
  readonly address: string;
  /** Lower is better; equals are as good as each other, and none is left for another. */
  readonly rank: number;
}

export interface RegistrySources {
  readonly node: NodeId;
  /** Of agent.yaml. One is where to begin; of several their order is the operator's wish. */
  readonly configured: readonly string[];
  /** What the registry says of its replicas, also of an earlier run. */
  readonly learned: readonly RegistryEndpoint[];
}

/**
 * In the order in which they are tried: several configured ones first, as they are written; then the learned ones by cluster and
 * priority, of equals for each node another one first; last the configured one that the registry does not name.
 */
export function registryChoices({ node, configured, learned }: RegistrySources): readonly RegistryChoice[] {
  const wished = configured.length > 1 ? configured : [];
  const rest = learned
    .filter(({ address }) => !wished.includes(address))
    .sort((a, b) => compare(a, b) || spread(node, a, b));
  const choices: RegistryChoice[] = wished.map((address, rank) => ({ address, rank }));
  let rank = wished.length - 1;
  for (const [index, one] of rest.entries()) {
    const before = rest[index - 1];
    if (!before || compare(before, one) !== 0) rank += 1;
    choices.push({ address: one.address, rank });
  }
  const last = configured.filter((address) => !choices.some((one) => one.address === address));
  return [...choices, ...last.map((address, index) => ({ address, rank: rank + 1 + index }))];
}

/** The one to try after `address` was tried; the first if there is none such. */
export function choiceAfter(choices: readonly RegistryChoice[], address: string | undefined): string {
  const index = choices.findIndex((one) => one.address === address);
  return choices[(index + 1) % choices.length]?.address ?? '';
}

/** Those that are better than this one. One that is not known any more is worse than all. */
export function betterThan(choices: readonly RegistryChoice[], address: string): readonly string[] {
  const rank = choices.find((one) => one.address === address)?.rank ?? Infinity;
  return choices.filter((one) => one.rank < rank).map((one) => one.address);
}

function compare(a: RegistryEndpoint, b: RegistryEndpoint): number {
  return a.cluster - b.cluster || a.priority - b.priority;
}

/** Rendezvous hashing: one that comes or goes moves no node but its own. */
function spread(node: NodeId, a: RegistryEndpoint, b: RegistryEndpoint): number {
  return hash(node + b.address) - hash(node + a.address) || (a.address < b.address ? -1 : 1);
}

/** FNV-1a, 32 bits, with a last mix, as texts that differ at their end alone must not stay together. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x7feb352d);
  value = Math.imul(value ^ (value >>> 15), 0x846ca68b);
  return (value ^ (value >>> 16)) >>> 0;
}
