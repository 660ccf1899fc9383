import type { NodeId } from '#proto/model/names.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import type { Direction } from '#proto/model/nhrp-counters.ts';
import type { Fault } from '#proto/model/result.ts';
import { type Milliseconds, milliseconds } from '#proto/model/time.ts';
import { admit, requireOverlay } from '#registry/decide/admit.ts';
import type { NodeRecord } from '#registry/decide/records.ts';
import type { Snapshot } from '#registry/decide/state.ts';
import type { StoreChange } from '#registry/store/port.ts';
import { Configs, pick } from './configs.ts';
import type { RegistryContext } from './context.ts';
import { Routes } from './routes.ts';
import { type Pipe, Session } from './session.ts';

/** Pings at the start of a session, so that its round trip is known before the first rendezvous. */
const firstPings = [0, 100, 300];
const pingInterval = 10_000;

/** Where a message went: to a session here, to the replica that has it, or nowhere. */
export type Delivery = 'here' | 'elsewhere' | 'nowhere';

/** What the sessions need of the other replicas. */
export interface Peers {
  push(replica: string, node: NodeId, message: NhrpMessage): Promise<boolean>;
  measure(replica: string, node: NodeId): Promise<Milliseconds | undefined>;
}

/** The sessions at this replica, one a node, and the way to those at others. */
export class Sessions {
  readonly #context: RegistryContext;
  readonly #peers: Peers;
  readonly #open = new Map<NodeId, Session>();
  readonly #timers = new Map<Session, NodeJS.Timeout>();
  readonly #unsubscribe: () => void;
  /** Those of hubs. */
  readonly #hubs = new Set<Session>();
  readonly #configs: Configs;
  readonly #routes: Routes;
  /** Called when a session opened or ended. */
  onOpenOrEnd: () => void = () => undefined;
  /** Called when a node can be told something again. */
  onGreeted: (node: NodeId) => void = () => undefined;

  constructor(context: RegistryContext, peers: Peers) {
    this.#context = context;
    this.#peers = peers;
    this.#configs = new Configs(context, this.#open);
    this.#routes = new Routes(context, this.#open);
    this.#unsubscribe = context.store.onChange((changes) => {
      this.#changed(changes);
    });
  }

  get open(): ReadonlyMap<NodeId, Session> {
    return this.#open;
  }

  /** A node has one session; the newest wins. */
  start(node: NodeRecord, pipe: Pipe): Session {
    this.#open.get(node.id)?.goodbye('replaced', 'a newer session of this node took over');
    const session = new Session(node.id, pipe, this.#context.clock.date());
    this.#open.set(node.id, session);
    if (node.role === 'hub') this.#hubs.add(session);
    this.#context.events.calm('node.unknown', node.id);
    this.#context.events.add('session.opened', node.name);
    this.onOpenOrEnd();
    return session;
  }

  /** The stream is over. */
  finish(session: Session): void {
    session.end();
    clearTimeout(this.#timers.get(session));
    this.#timers.delete(session);
    this.#hubs.delete(session);
    if (this.#open.get(session.node) !== session) return;
    this.#open.delete(session.node);
    this.#context.events.add('session.closed', this.#name(session.node));
    this.onOpenOrEnd();
  }

  greet(session: Session, agentVersion: string, registryVersion: string): void {
    const { self } = this.#context;
    session.agentVersion = agentVersion;
    session.greeted = true;
    session.send({ type: 'welcome', node: session.node, registryVersion, replica: self.id });
    this.#pingLater(session, 0);
    this.sync(session);
    this.onGreeted(session.node);
  }

  /** Sends what the node does not know yet of its overlay and, a hub, of its peers. */
  sync(session: Session): void {
    const { store, clock } = this.#context;
    const snapshot = store.snapshot();
    const node = snapshot.nodes.get(session.node);
    const common = this.#configs.common();
    if (!node || !common) return;
    session.syncConfig(common, node);
    session.syncPeers(snapshot, node, clock.held());
    this.#routes.tell(session);
  }

  /** Another replica has a newer session of the node. */
  replace(node: NodeId): void {
    this.#open.get(node)?.goodbye('replaced', 'a newer session of this node took over at another replica');
  }

  /** Hands a message to a node, here or at the replica that has its session. */
  async deliver(node: NodeId, message: NhrpMessage): Promise<Delivery> {
    if (this.deliverHere(node, message)) return 'here';
    const replica = this.elsewhere(node);
    return replica !== undefined && (await this.#peers.push(replica, node, message)) ? 'elsewhere' : 'nowhere';
  }

  deliverHere(node: NodeId, message: NhrpMessage): boolean {
    const session = this.#open.get(node);
    return session !== undefined && this.send(session, message);
  }

  send(session: Session, message: NhrpMessage): boolean {
    const sent = session.sendNhrp(message);
    if (sent) this.note('sent', session, message);
    return sent;
  }

  /** Counts a message of a session, and shows it to who follows. */
  note(direction: Direction, session: Session, message: NhrpMessage): void {
    const { node } = session;
    session.counter.add(direction, message);
    this.#context.traffic.note(direction, { id: node, name: this.#name(node) }, message);
  }

  /** The round trip to a node; undefined while it is not connected. A session that is too young for it counts as 0. */
  async measure(node: NodeId): Promise<Milliseconds | undefined> {
    const here = this.measureHere(node);
    if (here !== undefined) return here;
    const replica = this.elsewhere(node);
    return replica === undefined ? undefined : this.#peers.measure(replica, node);
  }

  /** Likewise; undefined also when another replica has the session. */
  measureHere(node: NodeId): Milliseconds | undefined {
    const session = this.#open.get(node);
    return session?.greeted && !session.ended ? (session.meter.rtt ?? milliseconds(0)) : undefined;
  }

  /** The node answers; how fast says how far it is. */
  ping(session: Session): void {
    session.send({ type: 'ping', id: session.meter.ping(this.#context.clock.now()) });
  }

  /** Tells some nodes to go elsewhere. */
  sendAway(most: number, detail: string): void {
    for (const session of [...this.#open.values()].slice(0, most)) session.goodbye('draining', detail);
  }

  /** Tells every node to go elsewhere, and stops. */
  drain(): void {
    this.#unsubscribe();
    this.#configs.stop();
    this.#routes.stop();
    for (const session of this.#open.values()) session.goodbye('draining', 'this registry stops');
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** The replica that has the session of a node, if that is not this one. */
  elsewhere(node: NodeId): string | undefined {
    if (this.#open.has(node)) return undefined;
    const replica = this.#context.store.snapshot().sessions.get(node)?.replica;
    return replica === this.#context.self.id ? undefined : replica;
  }

  #changed(changes: readonly StoreChange[]): void {
    const { store, clock, events } = this.#context;
    const snapshot = store.snapshot();
    const ready = requireOverlay(snapshot);
    if (ready.ok) events.calm('overlay.missing', '');
    else events.alarm('overlay.missing', '', ready.fault.message);
    if (changes.some(({ kind }) => kind === 'replica')) this.#configs.changed(undefined);
    this.#routes.changed(changes);
    const ids = concerned(changes);
    if (ids?.size === 0) return;
    for (const session of ids ? pick(this.#open, ids) : this.#open.values()) this.#review(snapshot, session);
    for (const session of this.#hubs) {
      const hub = admit(snapshot, session.node);
      if (hub.ok) session.syncPeers(snapshot, hub.value, clock.held(), ids);
    }
    this.#configs.changed(ids);
  }

  /** Ends a session that the store does not bear out any more. */
  #review(snapshot: Snapshot, session: Session): void {
    const node = admit(snapshot, session.node);
    if (!node.ok) this.#dismiss(session, node.fault);
    else if (session.registered && !snapshot.bindings.has(session.node)) {
      // The node believes itself registered until its next refresh; it comes back at once, and registers.
      session.end({ code: 'unavailable', message: 'the registration is not in the store any more: register again' });
    }
  }

  /** Goodbye is for a node that is shut out; one that is missing keeps what it has, and comes back. */
  #dismiss(session: Session, fault: Fault): void {
    if (fault.code === 'unknown-node') this.#context.events.alarm('node.unknown', session.node, fault.message);
    if (fault.code === 'revoked') session.goodbye('revoked', fault.message);
    else session.end(fault);
  }

  #pingLater(session: Session, count: number): void {
    const timer = setTimeout(() => {
      if (session.ended) return;
      this.ping(session);
      this.#pingLater(session, count + 1);
    }, firstPings[count] ?? pingInterval);
    this.#timers.set(session, timer.unref());
  }

  #name(node: NodeId): string {
    return this.#context.store.snapshot().nodes.get(node)?.name ?? node;
  }
}

/** The nodes of which something is to be looked at; undefined: all of them. */
function concerned(changes: readonly StoreChange[]): Set<NodeId> | undefined {
  if (changes.some(({ kind }) => kind === 'overlay')) return undefined;
  const ids = touchedNodes(changes);
  for (const change of changes) if (change.kind === 'revocation') ids?.add(change.id);
  return ids;
}

/** Undefined: any. */
export function touchedNodes(changes: readonly StoreChange[]): Set<NodeId> | undefined {
  const ids = new Set<NodeId>();
  for (const change of changes) {
    if (change.kind === 'all') return undefined;
    if (change.kind === 'node' || change.kind === 'binding') ids.add(change.id);
  }
  return ids;
}
