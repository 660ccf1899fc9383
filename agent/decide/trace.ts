// Which way a packet to an address takes from here, and why: what `dmwg trace` shows. Reads the state as desired.ts does.
import { type Address, containsAddress, familyOf, hostPrefix, lengthOf, type Prefix } from '#proto/model/address.ts';
import { exitWay, isDefault } from './exit.ts';
import { learnedAround } from './learned.ts';
import { carryingHubs } from './load-sharing.ts';
import { matchShortcut } from './nhrp-messages.ts';
import { avoided } from './quality.ts';
import { type AgentState, type HubPath, multipointName } from './state.ts';

export interface Trace {
  readonly address: string;
  /** The route that takes it; null if none of the overlay's does. */
  readonly prefix: string | null;
  readonly interface: string | null;
  readonly path: 'self' | 'local' | 'direct' | 'hub' | 'exit' | 'outside';
  /** Who has it, as far as this node knows. */
  readonly node: string | null;
  /** The hub that passes it on, or has it; or those of which one does, as the kernel chooses. */
  readonly hub: string | null;
  /** In the order in which they were asked. */
  readonly why: readonly string[];
}

export function trace(state: AgentState, address: Address): Trace {
  const why: string[] = [];
  return (
    own(state, address, why) ??
    shortcut(state, address, why) ??
    (state.self.role === 'hub' ? peer(state, address, why) : byHub(state, address, why)) ??
    byExit(state, address, why) ?? { ...answer(address, why), path: 'outside' }
  );
}

function answer(address: Address, why: readonly string[]): Omit<Trace, 'path'> {
  return { address, prefix: null, interface: null, node: null, hub: null, why };
}

function own(state: AgentState, address: Address, why: string[]): Trace | undefined {
  const { config, routing, self } = state;
  if (address === config?.address || address === config?.address6) {
    why.push('it is the address of this node');
    return { ...answer(address, why), prefix: hostPrefix(address), node: self.name, path: 'self' };
  }
  const connected = longest(routing.connected.keys(), address);
  const announced = longest(
    [...routing.announcements.keys()].filter((one) => !isDefault(one)),
    address,
  );
  if (connected !== undefined && lengthOf(connected) >= lengthOf(announced ?? connected)) {
    const name = routing.connected.get(connected) ?? null;
    why.push(`the host is in ${connected} by ${name ?? ''}`);
    return { ...answer(address, why), prefix: connected, interface: name, node: self.name, path: 'local' };
  }
  if (announced === undefined) return undefined;
  why.push(`this node announces ${announced} (${routing.announcements.get(announced)?.origin ?? ''})`);
  return { ...answer(address, why), prefix: announced, node: self.name, path: 'local' };
}

function shortcut(state: AgentState, address: Address, why: string[]): Trace | undefined {
  const known = matchShortcut(state, address);
  const remote = known && state.remotes.get(known.node);
  if (!known || !remote) {
    if (state.self.role === 'spoke')
      why.push('no shortcut leads there: nothing was sent there lately, or there is no direct path');
    return undefined;
  }
  const node = remote.target.name;
  if (remote.phase !== 'direct') {
    why.push(`the shortcut ${known.prefix} to ${node} is not used: ${remote.reason ?? remote.phase}`);
    return undefined;
  }
  const fault = avoided(state, known.node);
  if (fault !== undefined) {
    why.push(`the shortcut ${known.prefix} to ${node} is up, but not used: ${fault}`);
    return undefined;
  }
  why.push(`the shortcut ${known.prefix} to ${node} is up`);
  const name = multipointName(state.self);
  return { ...answer(address, why), prefix: known.prefix, interface: name, node, path: 'direct' };
}

/** A hub has every node as a peer; WireGuard's table chooses by the prefix. */
function peer(state: AgentState, address: Address, why: string[]): Trace | undefined {
  const name = multipointName(state.self);
  for (const one of state.hub.peers?.values() ?? []) {
    if (address !== one.address && address !== one.address6) continue;
    why.push(`it is the address of ${one.name}, a peer of this hub`);
    return { ...answer(address, why), prefix: hostPrefix(address), interface: name, node: one.name, path: 'direct' };
  }
  const learned = learnedAround(state.learned, address);
  if (!learned || isDefault(learned.prefix)) return undefined;
  const here = learned.origins.find(({ node }) => state.hub.peers?.has(node));
  if (!here) {
    why.push(`${learned.prefix} is announced by ${learned.origins[0]?.name ?? ''}, which has no tunnel to this hub`);
    return undefined;
  }
  why.push(`${here.name} announces ${learned.prefix}${rivals(learned.origins.length)}`);
  return { ...answer(address, why), prefix: learned.prefix, interface: name, node: here.name, path: 'direct' };
}

function byHub(state: AgentState, address: Address, why: string[]): Trace | undefined {
  const learned = learnedAround(state.learned, address);
  const summary = longest(state.config?.summaries ?? [], address);
  const near = learned && !isDefault(learned.prefix) ? learned : undefined;
  const prefix = near && lengthOf(near.prefix) >= lengthOf(summary ?? near.prefix) ? near.prefix : summary;
  if (prefix === undefined) return undefined;
  const left = state.routing.left.get(prefix);
  if (left !== undefined) {
    why.push(`${prefix} has no route here: ${left}`);
    return undefined;
  }
  const origin = prefix === near?.prefix ? near.origins[0] : undefined;
  why.push(
    origin
      ? `${origin.name} announces ${prefix}${rivals(near?.origins.length ?? 1)}`
      : `${prefix} is a summary of the overlay`,
  );
  const behind = origin && state.hubs.get(origin.node);
  const paths = behind?.place === 'connected' ? [behind] : carryingHubs(state);
  if (paths.length === 0) {
    why.push('no hub is up');
    return undefined;
  }
  const hub = paths.map((path) => path.hub.name).join(', ');
  why.push(hubReason(hub, paths, behind));
  const ways = paths.map((path) => path.interface).join(', ');
  return { ...answer(address, why), prefix, interface: ways, node: origin?.name ?? null, hub, path: 'hub' };
}

function hubReason(names: string, paths: readonly HubPath[], behind: HubPath | undefined): string {
  if (paths.length > 1) return `${names} share the traffic: the kernel chooses one for each flow`;
  return paths[0] === behind ? `${names} is a hub, and has it` : `${names} is the active hub`;
}

function byExit(state: AgentState, address: Address, why: string[]): Trace | undefined {
  const family = familyOf(address);
  const way = exitWay(state, family);
  if (!way) {
    why.push('no route of the overlay leads there');
    return undefined;
  }
  if ('reason' in way) {
    why.push(`the exit is not there: ${way.reason}`);
    return undefined;
  }
  const node = state.self.exit?.via ?? null;
  why.push(`everything else leaves by ${node ?? ''}${way.direct ? '' : ', through the active hub'}`);
  const prefix = family === 4 ? '0.0.0.0/0' : '::/0';
  return { ...answer(address, why), prefix, interface: way.interface, node, path: 'exit' };
}

function rivals(count: number): string {
  return count > 1 ? `, the best of ${String(count)}` : '';
}

function longest(prefixes: Iterable<Prefix>, address: Address): Prefix | undefined {
  let best: Prefix | undefined;
  for (const prefix of prefixes) {
    if (containsAddress(prefix, address) && (best === undefined || lengthOf(prefix) > lengthOf(best))) best = prefix;
  }
  return best;
}
