// What one pass over the host is about, besides the plain difference.
import { type Change, interfaceOf } from './change.ts';
import { type Effect, isForPeer, type PathId } from './event.ts';
import { type HostState, lacksPort, type TunnelState } from './host.ts';
import { type AgentState, type BfdState, multipointName } from './state.ts';

/** Whether the desired host of both states is the same for certain. */
export function sameInputs(a: AgentState, b: AgentState): boolean {
  return (
    a.revoked === b.revoked &&
    a.config === b.config &&
    a.self === b.self &&
    a.routing.left === b.routing.left &&
    a.routing.registries === b.routing.registries &&
    a.routing.cutOff === b.routing.cutOff &&
    a.routing.announcements === b.routing.announcements &&
    a.interfaces === b.interfaces &&
    a.uplinks === b.uplinks &&
    a.quality === b.quality &&
    a.hubs === b.hubs &&
    a.activeHub === b.activeHub &&
    a.sharing === b.sharing &&
    a.shortcuts === b.shortcuts &&
    a.remotes === b.remotes &&
    a.learned === b.learned &&
    a.hub.carriers === b.hub.carriers &&
    a.hub.beyond === b.hub.beyond &&
    a.hub.peers === b.hub.peers
  );
}

/** What did not answer is taken to be as it was. */
export function keepUnreadable(observed: HostState, last: HostState | undefined): HostState {
  const interfaces = new Map(observed.interfaces);
  for (const name of observed.unreadable ?? []) {
    const known = last?.interfaces.get(name);
    if (known) interfaces.set(name, known);
  }
  return { ...observed, interfaces };
}

/**
 * A hub that has not been told its peers or what they announce leaves what is there; an interface whose key cannot be read stays
 * as it is, and one that does not answer is not asked for anything.
 */
export function isSafe(state: AgentState, picture: HostState, change: Change): boolean {
  // How the host leaves for the world is not known yet.
  if (change.kind === 'remove-gateway' && state.self.uplinks.length > 0 && !state.uplinks.sights) return false;
  if (isForWireguard(change) && picture.unreadable?.has(interfaceOf(change) ?? '')) return false;
  if (change.kind === 'delete-interface') {
    const own = state.interfaces.get(change.name);
    return own === undefined || own.publicKey !== undefined;
  }
  if (state.self.role !== 'hub' || state.revoked !== undefined) return true;
  if (state.hub.peers === undefined && change.kind === 'remove-peer') return false;
  return state.learned !== undefined || (change.kind !== 'update-peer' && change.kind !== 'remove-route');
}

/**
 * The peers that are to be made anew or moved; one that is not there yet is added by the diff. One that was heard since the effect was
 * decided is spared: the other end may already send that way. `bfdNow`: what is not in the state yet, as events wait for a pass.
 */
export function replacements(
  state: AgentState,
  host: { readonly desired: HostState; readonly picture: HostState },
  effects: readonly Effect[],
  bfdNow: (path: PathId) => BfdState | undefined,
): Change[] {
  const { desired, picture } = host;
  const heard = new Set<string>();
  for (const [node, path] of state.hubs)
    if ([path.bfd, bfdNow(`hub:${node}`)].includes('up')) heard.add(`${path.interface} ${path.hub.publicKey ?? ''}`);
  for (const [node, { target, bfd }] of state.remotes) {
    const seen = [bfd, bfdNow(`direct:${node}`)];
    if (seen.includes('init') || seen.includes('up')) heard.add(`${multipointName(state.self)} ${target.publicKey}`);
  }
  const changes: Change[] = [];
  for (const effect of effects) {
    if (!isForPeer(effect)) continue;
    if (effect.kind === 'replace-peer' && heard.has(`${effect.interface} ${effect.publicKey}`)) continue;
    const peer = desired.interfaces.get(effect.interface)?.peers.get(effect.publicKey);
    const present = picture.interfaces.get(effect.interface)?.peers.get(effect.publicKey);
    if (!peer || !present) continue;
    const endpoint = effect.endpoint === 'where it is' ? present.endpoint : effect.endpoint;
    if (endpoint) changes.push({ kind: effect.kind, interface: effect.interface, peer: { ...peer, endpoint } });
  }
  return changes;
}

/** The tunnels whose UDP port somebody else has. */
export function takenPorts(observed: HostState, desired: HostState): TunnelState[] {
  return [...desired.interfaces.values()].filter((wanted) => {
    const tunnel = observed.interfaces.get(wanted.name);
    return tunnel !== undefined && lacksPort(tunnel, wanted);
  });
}

/** What is wrong with the interfaces, in words. */
export function sightsOf({ unreadable }: HostState, taken: readonly TunnelState[]): string[] {
  return [
    ...[...(unreadable ?? [])].map((name) => `${name}: WireGuard does not answer`),
    ...taken.map(({ name, listenPort }) => `${name}: UDP port ${String(listenPort)} is taken by another program`),
  ];
}

function isForWireguard({ kind }: Change): boolean {
  return kind === 'configure-interface' || kind.endsWith('-peer');
}
