import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { NhrpCounter } from '#proto/model/nhrp-counters.ts';
import type { GoodbyeReason, HubPeer, OverlayConfig, RegistryMessage } from '#proto/model/session.ts';
import type { Fault } from '#proto/model/result.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { sameValue } from '#registry/decide/equal.ts';
import { type CommonConfig, overlayConfig } from '#registry/decide/overlay-config.ts';
import { noPeers, peerDelta, peersOf } from '#registry/decide/peers.ts';
import { isForeign } from '#registry/decide/distribute.ts';
import type { NodeRecord } from '#registry/decide/records.ts';
import type { Snapshot } from '#registry/decide/state.ts';
import type { RouteLog } from './route-log.ts';
import { RttMeter } from './rtt.ts';

/** The way to a node: a gRPC stream, or a list in a test. */
export interface Pipe {
  /** False: it is full, and `Session.drained` is called when it no longer is. */
  write(message: RegistryMessage): boolean;
  /** With the fault as the status of the call, if there is one. */
  end(fault?: Fault): void;
}

/** Messages that wait while the pipe is full. State (configuration, peers) is not among them: only its newest is sent. */
const mostWaiting = 512;
/** Octets and nodes in one message of peers, well below the 4 MiB that a node takes. */
const longestChunk = 1_000_000;
const mostRemoved = 10_000;
const mostRoutes = 4000;

/** One node's session at this replica: what it was told, and what it must be told next. */
export class Session {
  readonly node: NodeId;
  readonly meter = new RttMeter();
  agentVersion = '';
  /** The node said Hello. */
  greeted = false;
  /** A registration of this session was accepted. */
  registered = false;
  /** Its record is in the store. */
  recorded = false;
  /** When it began. */
  readonly since: Timestamp;
  /** Messages since then. */
  readonly counter = new NhrpCounter();

  readonly #pipe: Pipe;
  readonly #waiting: RegistryMessage[] = [];
  #blocked = false;
  #ended = false;
  #config: OverlayConfig | undefined;
  /** What #config was made of. */
  #configOf: { readonly common: CommonConfig; readonly node: NodeRecord } | undefined;
  #peers: Map<NodeId, HubPeer> | undefined;
  /** Which routes it knows, up to where. */
  #routesOf: { readonly log: RouteLog; readonly position: number } | undefined;
  /** Peers without a node in the store. */
  readonly #missing = new Set<NodeId>();

  constructor(node: NodeId, pipe: Pipe, since: Timestamp) {
    this.node = node;
    this.since = since;
    this.#pipe = pipe;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** State is not sent to a node that does not read: it is brought up to date when the pipe is free again. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Returns whether it was taken: a session that is over, or that reads too slowly, takes nothing. */
  send(message: RegistryMessage): boolean {
    if (this.#ended) return false;
    if (!this.#blocked) {
      this.#blocked = !this.#pipe.write(message);
      return true;
    }
    if (this.#waiting.length >= mostWaiting) {
      this.end();
      return false;
    }
    this.#waiting.push(message);
    return true;
  }

  sendNhrp(message: NhrpMessage): boolean {
    return this.greeted && this.send({ type: 'nhrp', message });
  }

  /** The pipe is free again. Returns whether state may be sent now. */
  drained(): boolean {
    this.#blocked = false;
    while (!this.#blocked && !this.#ended) {
      const message = this.#waiting.shift();
      if (!message) return true;
      this.#blocked = !this.#pipe.write(message);
    }
    return false;
  }

  /** Sends the configuration if it is not what the node has. */
  syncConfig(common: CommonConfig, node: NodeRecord): void {
    if (!this.greeted || this.#blocked) return;
    if (this.#configOf?.common === common && this.#configOf.node === node) return;
    this.#configOf = { common, node };
    const config = overlayConfig(common, node);
    if (sameValue(config, this.#config)) return;
    this.#config = config;
    this.send({ type: 'overlay-config', config });
  }

  /** Brings a hub's list of peers up to date: all of it, or what may have changed of these nodes. */
  syncPeers(snapshot: Snapshot, hub: NodeRecord, now: Timestamp, ids?: ReadonlySet<NodeId>): void {
    if (!this.greeted || this.#blocked || hub.role !== 'hub') return;
    const peers = this.#peers;
    if (!peers) {
      this.#peers = peersOf(snapshot, hub, now);
      this.#sendPeers(true, [...this.#peers.values()], noPeers(snapshot, this.#peers));
      return;
    }
    const due = new Set([...(ids ?? [...snapshot.nodes.keys(), ...peers.keys()]), ...this.#missing]);
    const { upsert, remove } = peerDelta(peers, snapshot, hub, now, due);
    for (const peer of upsert) peers.set(peer.node, peer);
    for (const id of remove) peers.delete(id);
    for (const id of due) {
      if (peers.has(id) && !snapshot.nodes.has(id)) this.#missing.add(id);
      else this.#missing.delete(id);
    }
    if (upsert.length > 0 || remove.length > 0) this.#sendPeers(false, upsert, remove);
  }

  /** Brings what the node knows of the routes up to date. */
  syncRoutes(log: RouteLog, snapshot: Snapshot): void {
    if (!this.greeted || this.#blocked) return;
    const known = this.#routesOf?.log === log ? this.#routesOf.position : undefined;
    const changed = known === undefined ? undefined : log.since(known);
    this.#routesOf = { log, position: log.end };
    const upsert: LearnedRoute[] = [];
    const remove: Prefix[] = [];
    for (const prefix of changed ?? log.prefixes()) {
      const route = log.get(prefix);
      if (route && isForeign(snapshot, this.node, route)) upsert.push(route);
      else if (changed) remove.push(prefix);
    }
    if (!changed || upsert.length > 0 || remove.length > 0) this.#sendRoutes(!changed, upsert, remove);
  }

  /** Says why, and ends. */
  goodbye(reason: GoodbyeReason, detail: string): void {
    if (this.#ended) return;
    this.#pipe.write({ type: 'goodbye', reason, detail });
    this.end();
  }

  end(fault?: Fault): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#waiting.length = 0;
    this.#pipe.end(fault);
  }

  #sendRoutes(snapshot: boolean, upsert: readonly LearnedRoute[], remove: readonly Prefix[]): void {
    const news = pieces(upsert, mostRoutes);
    const gone = pieces(remove, mostRoutes);
    const count = Math.max(1, news.length, gone.length);
    for (let index = 0; index < count; index++) {
      this.send({
        type: 'route-sync',
        snapshot: snapshot && index === 0,
        upsert: news[index] ?? [],
        remove: gone[index] ?? [],
        complete: index === count - 1,
      });
    }
  }

  #sendPeers(snapshot: boolean, upsert: readonly HubPeer[], remove: readonly NodeId[]): void {
    const parts = chunks(upsert);
    const count = Math.max(1, parts.length, Math.ceil(remove.length / mostRemoved));
    for (let index = 0; index < count; index++) {
      this.send({
        type: 'peer-sync',
        snapshot: snapshot && index === 0,
        upsert: parts[index] ?? [],
        remove: remove.slice(index * mostRemoved, (index + 1) * mostRemoved),
        complete: index === count - 1,
      });
    }
  }
}

function pieces<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, index) => items.slice(index * size, (index + 1) * size));
}

/** Parts of at most `longestChunk` octets. Protocol buffers are shorter than JSON, which names every field. */
function chunks(peers: readonly HubPeer[]): HubPeer[][] {
  const parts: HubPeer[][] = [];
  let room = 0;
  for (const peer of peers) {
    const size = JSON.stringify(peer).length;
    if (size > room || parts.length === 0) {
      parts.push([]);
      room = longestChunk;
    }
    parts.at(-1)?.push(peer);
    room -= size;
  }
  return parts;
}
