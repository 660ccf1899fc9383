// What a hub does: its peers are what the registry says, and the registry learns where their packets come from.
import { isMulticast } from '#proto/model/address.ts';
import type { Address } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeId } from '#proto/model/names.ts';
import { defaultHopCount, type NhrpMessage } from '#proto/model/nhrp.ts';
import type { HubPeer, ObservedEndpoint, RegistryMessage } from '#proto/model/session.ts';
import { after, milliseconds } from '#proto/model/time.ts';
import { note, type ObservedPeer, type Turn } from './event.ts';
import { type AgentState, multipointName } from './state.ts';

const observeMs = 1000;
const eagerObserveMs = 100;
const eagerMs = 10_000;
/** Who registers anew may be at another place. */
const curiousMs = 3000;

export function peerSync(
  state: AgentState,
  sync: Extract<RegistryMessage, { type: 'peer-sync' }>,
  turn: Turn,
): AgentState {
  if (state.self.role !== 'hub') return state;
  const { hub } = state;
  // A snapshot is put together aside; a delta applies to what there is. A registry that lost data does not know all peers that it
  // once named: they stay until it says that they are gone, or others have their addresses.
  const peers = new Map(hub.incoming ?? hub.peers);
  for (const node of sync.remove) peers.delete(node);
  for (const peer of sync.upsert) peers.set(peer.node, peer);
  if (sync.snapshot || hub.incoming) dropReplaced(peers, sync.upsert);
  const assembling = (sync.snapshot || hub.incoming !== undefined) && !sync.complete;
  if (assembling) return { ...state, hub: { ...hub, incoming: peers } };
  note(turn, 'peers', { count: peers.size });
  return {
    ...state,
    hub: {
      ...hub,
      peers,
      up: new Map([...hub.up].filter(([node]) => hasTunnel(peers.get(node), state.self.node))),
      incoming: undefined,
      observeAt: turn.now,
      eagerUntil: after(turn.now, milliseconds(eagerMs)),
      curiousUntil:
        sync.snapshot || sync.upsert.length === 0 ? hub.curiousUntil : after(turn.now, milliseconds(curiousMs)),
    },
  };
}

/** A spoke that has left this hub is a peer still, for where its packets come from. */
function hasTunnel(peer: HubPeer | undefined, hub: NodeId): boolean {
  return peer?.interfaces.some((own) => own.kind === 'hub-tunnel' && own.hub === hub) === true;
}

/** Addresses and keys are given to one node: who has them in `news` has taken them from who had them before. */
function dropReplaced(peers: Map<NodeId, HubPeer>, news: readonly HubPeer[]): void {
  const idsOf = ({ address, address6, interfaces }: HubPeer): string[] => [
    address,
    ...(address6 === undefined ? [] : [address6]),
    ...interfaces.map(({ publicKey }) => publicKey),
  ];
  const owners = new Map(news.flatMap((peer) => idsOf(peer).map((id) => [id, peer.node] as const)));
  for (const [node, peer] of peers) {
    if (idsOf(peer).some((id) => (owners.get(id) ?? node) !== node)) peers.delete(node);
  }
}

/** Time to look where the peers are: often while new ones are expected to show up. */
export function tickHub(state: AgentState, turn: Turn): AgentState {
  const { hub } = state;
  if (state.self.role !== 'hub' || hub.observeAt === undefined || hub.observeAt > turn.now) return state;
  turn.effects.push({ kind: 'inspect-peers', interface: multipointName(state.self) });
  const { eagerUntil = turn.now, curiousUntil = turn.now } = hub;
  const eager = curiousUntil > turn.now || (eagerUntil > turn.now && someUnseen(state));
  const wait = milliseconds(eager ? eagerObserveMs : observeMs);
  return { ...state, hub: { ...hub, observeAt: after(turn.now, wait) } };
}

/** Reports the endpoints of multipoint interfaces that changed. */
export function reportEndpoints(state: AgentState, seen: ReadonlyMap<PublicKey, ObservedPeer>, turn: Turn): AgentState {
  const { hub } = state;
  if (state.self.role !== 'hub' || state.connectedTo === undefined || !hub.peers) return state;
  const observed = new Map<PublicKey, Endpoint>();
  const changed: ObservedEndpoint[] = [];
  for (const publicKey of reflectedKeys(state)) {
    const endpoint = seen.get(publicKey)?.endpoint;
    if (!endpoint) continue;
    observed.set(publicKey, endpoint);
    if (hub.observed.get(publicKey) !== endpoint) changed.push({ publicKey, endpoint });
  }
  for (let start = 0; start < changed.length; start += 500) {
    const endpoints = changed.slice(start, start + 500);
    turn.effects.push({ kind: 'send', message: { type: 'observed-endpoints', endpoints } });
  }
  return { ...state, hub: { ...hub, observed } };
}

/** DMVPN's redirect: the source spoke is told, by way of the registry, that it could go directly. */
export function indicate(
  state: AgentState,
  pair: { readonly source: Address; readonly destination: Address; readonly head: Uint8Array },
  turn: Turn,
): void {
  const { config } = state;
  if (!config || config.phase !== 3 || state.connectedTo === undefined) return;
  if (isMulticast(pair.destination) || [config.address, config.address6].includes(pair.destination)) return;
  const message: NhrpMessage = {
    hopCount: defaultHopCount,
    requestId: 0,
    sourceNbma: state.self.endpoints[0],
    source: pair.source,
    destination: pair.destination,
    extensions: [],
    body: { type: 'traffic-indication', contents: pair.head },
  };
  note(turn, 'indicating', { source: pair.source, destination: pair.destination });
  turn.effects.push({ kind: 'send', message: { type: 'nhrp', message } });
}

function reflectedKeys(state: AgentState): PublicKey[] {
  const keys: PublicKey[] = [];
  for (const peer of state.hub.peers?.values() ?? []) {
    for (const own of peer.interfaces) if (own.kind === 'multipoint') keys.push(own.publicKey);
  }
  return keys;
}

function someUnseen(state: AgentState): boolean {
  return reflectedKeys(state).some((key) => !state.hub.observed.has(key));
}
