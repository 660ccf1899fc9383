// Replicas of the registry and agents without processes: the deciders of both, the store in memory, the registry's list of who
// was told what, a clock that is told to go on, and a network that loses and repeats messages when it is told to.
import assert from 'node:assert/strict';
import type { Effect, Event } from '#agent/decide/event.ts';
import { type AgentState, initialState } from '#agent/decide/state.ts';
import { step } from '#agent/decide/step.ts';
import { createLogger } from '#proto/kit/log.ts';
import { containsAddress, hostPrefix, networkOf, type Prefix, prefixOf } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { type NhrpMessage, uniquePrefixLength } from '#proto/model/nhrp.ts';
import { fail } from '#proto/model/result.ts';
import { type Instant, milliseconds, seconds, type Timestamp } from '#proto/model/time.ts';
import { expired, lose } from '#registry/decide/expire.ts';
import { liveBinding, multipointOf } from '#registry/decide/node.ts';
import { purgeByNode } from '#registry/decide/purge.ts';
import type { NodeRecord } from '#registry/decide/records.ts';
import { register } from '#registry/decide/register.ts';
import { locate } from '#registry/decide/locate.ts';
import { resolve } from '#registry/decide/resolve.ts';
import { scopeOf } from '#registry/decide/scope.ts';
import type { Transaction } from '#registry/decide/state.ts';
import { introduced, type ToldRecord } from '#registry/decide/told.ts';
import { relayed, type Server, serverOf } from '#registry/decide/transit.ts';
import { Answers } from '#registry/serve/answers.ts';
import { config as storyConfig, key, selfOf } from './agent-story.ts';
import { createMemoryStore } from './memory-store.ts';
import type { Claim } from './nhrp-model.ts';
import { until } from './poll.ts';
import { enrolled, nodeRecord, overlayRecord, prefix } from './registry-fixtures.ts';

/** What the network does to the next messages: true loses one, a number is how often one comes. */
export type Weather = readonly (0 | 1 | 2)[];

interface Agent {
  readonly record: NodeRecord;
  state: AgentState;
  /** The replica of its session. */
  replica: number | undefined;
  /** Moments until which it was told that a prefix holds. */
  readonly told: Map<Prefix, number>;
}

const log = createLogger('test', 'silent');
/** After a new session a binding lives on for this long at least, until the registry has answered again. */
const grace = 60_000;

/** As whom a replica appears in messages. */
export function serverAt(replica: number): Server {
  return serverOf(overlayRecord(), { id: `replica-${String(replica)}` });
}

export class World {
  readonly store = createMemoryStore();
  readonly agents = new Map<number, Agent>();
  readonly #replicas: Answers[];
  readonly #lives: AbortController[];
  #now = 1_000_000;
  #weather: Weather = [];
  readonly #clock = {
    now: () => this.#now as Instant,
    date: () => this.#now as Timestamp,
    held: () => this.#now as Timestamp,
  };

  constructor(claims: readonly Claim[], holdingTime: number) {
    const overlay = overlayRecord({ holdingTime: seconds(holdingTime / 1000) });
    this.store.force({ put: [{ kind: 'overlay', record: overlay }] });
    this.#lives = [0, 1].map(() => new AbortController());
    this.#replicas = this.#lives.map(({ signal }, index) => this.#replica(index, signal));
    for (const number of new Set(claims.map(({ node }) => node))) {
      const record = nodeRecord(number, {
        address6: undefined,
        prefixes: claims.filter(({ node }) => node === number).map((claim) => claim.prefix),
      });
      this.store.force({ put: enrolled(record) });
      const self = { ...selfOf('spoke'), node: record.id, name: record.name, prefixes: record.prefixes };
      this.agents.set(number, { record, state: initialState(self), replica: undefined, told: new Map() });
    }
  }

  get now(): number {
    return this.#now;
  }

  agent(number: number): Agent {
    const agent = this.agents.get(number);
    assert.ok(agent);
    return agent;
  }

  setWeather(weather: Weather): void {
    this.#weather = weather;
  }

  async connect(number: number, replica: number): Promise<void> {
    const agent = this.agent(number);
    const before = agent.replica;
    agent.replica = replica;
    if (before !== replica) await this.#forget(agent, before);
    const { address, prefixes } = agent.record;
    const config = {
      ...storyConfig,
      hubs: [],
      address,
      address6: undefined,
      prefixes,
      summaries: [prefix('10.0.0.0/8')],
    };
    for (const [told, until] of agent.told) agent.told.set(told, Math.max(until, this.#now + grace));
    await this.#tell(agent, { kind: 'message', message: { type: 'overlay-config', config } });
    await this.#tell(agent, { kind: 'connected', endpoint: `replica-${String(replica)}` });
    this.#replicas[replica]?.resume(agent.record.id);
    await this.settle();
  }

  /** The session breaks, and the node is lost until it registers again. */
  async disconnect(number: number): Promise<void> {
    const agent = this.agent(number);
    const before = agent.replica;
    agent.replica = undefined;
    await this.#forget(agent, before);
    await this.#tell(agent, { kind: 'disconnected' });
    const lost = lose(this.store.snapshot(), agent.record.id, this.#clock.date());
    if (lost) await this.#commit(lost);
    await this.settle();
  }

  /** A replica dies with all that it remembered; what is a moment old is in the store. */
  async crash(replica: number): Promise<number[]> {
    const dying = this.#replicas[replica];
    await this.#written(replica);
    this.#lives[replica]?.abort();
    await dying?.stop();
    const life = new AbortController();
    this.#lives[replica] = life;
    this.#replicas[replica] = this.#replica(replica, life.signal);
    const its = [...this.agents].filter(([, agent]) => agent.replica === replica).map(([number]) => number);
    for (const number of its) {
      const agent = this.agent(number);
      agent.replica = undefined;
      await this.#tell(agent, { kind: 'disconnected' });
    }
    for (const number of its) await this.connect(number, 1 - replica);
    return its;
  }

  /** What the node says; the answers to it, of which some may not have come. */
  async say(number: number, message: NhrpMessage): Promise<NhrpMessage[]> {
    const agent = this.agent(number);
    const answers: NhrpMessage[] = [];
    for (let times = this.#luck(); times > 0; times--) {
      const answered = await this.#serve(agent, message);
      const wanted = message.body.type === 'purge-reply' || ('noReply' in message.body && message.body.noReply) ? 0 : 1;
      assert.equal(answered.length, wanted, 'a request ends in exactly one reply or error');
      answers.push(...answered);
    }
    for (const answer of answers) await this.#arrive(agent, answer);
    await this.settle();
    return answers;
  }

  /** A first packet to this destination. */
  async use(number: number, destination: Prefix): Promise<void> {
    const agent = this.agent(number);
    const { address } = agent.record;
    const body = { type: 'traffic-indication', contents: new Uint8Array() } as const;
    const header = { hopCount: 16, requestId: 0, sourceNbma: undefined, extensions: [] };
    await this.#arrive(agent, { ...header, source: address, destination: networkOf(destination), body });
    await this.settle();
  }

  async pass(span: number): Promise<void> {
    const end = this.#now + span;
    while (this.#now < end) {
      this.#now = Math.min(end, this.#now + 5000);
      for (const { transaction } of expired(this.store.snapshot(), this.#clock.date())) await this.#commit(transaction);
      for (const agent of this.agents.values()) await this.#tell(agent, { kind: 'tick' });
      for (const answers of this.#replicas) answers.repeat();
      await this.settle();
    }
  }

  /** Until the replicas have looked at what changed, and sent what follows from it. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 4; turns++) await new Promise((resolve) => setImmediate(resolve));
  }

  async stop(): Promise<void> {
    for (const answers of this.#replicas) await answers.stop();
  }

  /** "node address" of requests that have not ended. */
  unanswered(): string[] {
    return [...this.agents].flatMap(([number, { state }]) =>
      [...state.resolutions.values()]
        .filter(({ negativeUntil }) => negativeUntil === undefined)
        .map(({ destination }) => `${String(number)} ${destination}`),
    );
  }

  /** "node prefix" of what an agent holds although its time is over. */
  overdue(): string[] {
    return [...this.agents].flatMap(([number, { state, told, replica }]) =>
      replica === undefined
        ? []
        : [...state.shortcuts.keys()]
            .filter((one) => (told.get(one) ?? 0) + 5000 < this.#now)
            .map((one) => `${String(number)} ${one}`),
    );
  }

  /** "node prefix" of what an agent holds, or routes directly, and the registry would not say. */
  untrue(only?: 'direct'): string[] {
    const snapshot = this.store.snapshot();
    return [...this.agents].flatMap(([number, { state }]) =>
      [...state.shortcuts.values()]
        .filter(({ prefix: held, node }) => {
          const scope = scopeOf(snapshot, networkOf(held), {
            now: this.#clock.date(),
            asker: this.agent(number).record.id,
          });
          const binding = liveBinding(snapshot, node, this.#clock.date());
          const remote = state.remotes.get(node);
          if (only && remote?.phase !== only) return false;
          const known = remote?.target.publicKey;
          return scope?.node !== node || !binding || known !== multipointOf(binding)?.publicKey;
        })
        .map((one) => `${String(number)} ${one.prefix}`),
    );
  }

  #replica(index: number, life: AbortSignal): Answers {
    const here = (node: NodeId): Agent | undefined => {
      const agent = this.#byId(node);
      return agent?.replica === index ? agent : undefined;
    };
    const { told } = this.store;
    const gone = fail('unavailable', 'this replica crashed');
    const alive = {
      read: async (asker: NodeId) => (life.aborted ? gone : told.read(asker)),
      write: async (records: readonly ToldRecord[]) => (life.aborted ? gone : told.write(records)),
    };
    return new Answers({
      context: {
        store: { ...this.store, told: alive },
        clock: this.#clock,
        log,
        self: { id: `replica-${String(index)}`, address: '' },
      },
      sessions: {
        has: (node) => here(node) !== undefined,
        keys: () => new Set([...this.agents.values()].map(({ record }) => record.id).filter(here)).keys(),
      },
      deliver: (node, message) => {
        const agent = here(node);
        // A session may lose what is under way.
        for (let times = agent ? this.#luck() : 0; agent && times > 0; times--) void this.#arrive(agent, message);
      },
    });
  }

  /** The session ended at this replica. */
  async #forget(agent: Agent, replica: number | undefined): Promise<void> {
    if (replica === undefined) return;
    this.#replicas[replica]?.forget(agent.record.id);
    await this.#written(replica);
  }

  /** A moment passes, in which the replica writes what it told. */
  async #written(replica: number): Promise<void> {
    const answers = this.#replicas[replica];
    await until('the store has what was told', () => answers?.unwritten === 0, { within: 10_000, every: 2 });
  }

  #byId(id: NodeId): Agent | undefined {
    return [...this.agents.values()].find(({ record }) => record.id === id);
  }

  #luck(): number {
    const [first = 1, ...rest] = this.#weather;
    this.#weather = rest;
    return first;
  }

  async #serve(agent: Agent, message: NhrpMessage): Promise<NhrpMessage[]> {
    const { body } = message;
    const answers = this.#replicas[agent.replica ?? 0];
    const snapshot = this.store.snapshot();
    const now = this.#clock.date();
    const server = serverAt(agent.replica ?? 0);
    assert.ok(answers);
    switch (body.type) {
      case 'registration-request': {
        const { reply, transaction } = register(
          snapshot,
          agent.record,
          { ...message, body },
          { now, agentVersion: 'test', server },
        );
        if (transaction) await this.#commit(transaction);
        return [reply];
      }
      case 'purge-request': {
        const { reply, transaction } = purgeByNode(snapshot, agent.record, { ...message, body }, { server });
        if (transaction) await this.#commit(transaction);
        return reply ? [reply] : [];
      }
      case 'resolution-request': {
        const askerRtt = milliseconds(10);
        const located = locate(snapshot, agent.record, { ...message, body }, { now, server });
        const there = located.kind === 'target' ? this.#byId(located.node.id)?.replica : undefined;
        const targetRtt = there === undefined ? undefined : askerRtt;
        const via = there === undefined || there === agent.replica ? undefined : serverAt(there);
        const request = { ...message, body };
        const outcome = resolve(snapshot, agent.record, request, { now, askerRtt, targetRtt, server, via });
        if (outcome.told) answers.remember(agent.record.id, outcome.told);
        const target = outcome.forward && this.#byId(outcome.forward.to);
        const replica = target?.replica === undefined ? undefined : this.#replicas[target.replica];
        if (outcome.forward && target && replica) {
          const told = introduced(outcome.forward.message);
          if (told) replica.introduce(target.record.id, told.prefix, told.about);
          const onward = via ? relayed(outcome.forward.message, via) : outcome.forward.message;
          assert.ok(typeof onward === 'object', 'what was answered can be passed on');
          assert.equal(onward.hopCount, message.hopCount - (via ? 2 : 1), 'each server takes a hop');
          if (this.#luck() > 0) await this.#arrive(target, onward);
        }
        return [outcome.reply];
      }
      case 'purge-reply':
        answers.acknowledge(agent.record.id, message.requestId);
        return [];
      default:
        return [];
    }
  }

  async #commit(transaction: Transaction): Promise<void> {
    const done = await this.store.commit(transaction);
    assert.ok(done.ok, JSON.stringify(done));
  }

  /** A message reaches an agent, if its session is open. */
  async #arrive(agent: Agent, message: NhrpMessage): Promise<void> {
    if (agent.replica === undefined) return;
    this.#noteTold(agent, message);
    await this.#tell(agent, { kind: 'message', message: { type: 'nhrp', message } });
    if (message.body.type !== 'purge-request') return;
    for (const { protocolAddress, prefixLength } of message.body.cies) {
      if (!protocolAddress) continue;
      const gone =
        prefixLength === uniquePrefixLength ? hostPrefix(protocolAddress) : prefixOf(protocolAddress, prefixLength);
      const kept = [...agent.state.shortcuts.keys()].filter((one) => containsAddress(gone, networkOf(one)));
      assert.deepEqual(kept, [], 'nothing is held after an acknowledged purge');
    }
  }

  #noteTold(agent: Agent, { body, source, destination }: NhrpMessage): void {
    if (body.type !== 'resolution-reply' && body.type !== 'resolution-request') return;
    const [first] = body.cies;
    if (first?.code !== 0) return;
    const about = body.type === 'resolution-reply' ? destination : source;
    const length = first.prefixLength === uniquePrefixLength ? 32 : first.prefixLength;
    agent.told.set(prefixOf(about, length), this.#now + first.holdingTime * 1000);
  }

  async #tell(agent: Agent, event: Event): Promise<void> {
    const effects: Effect[] = [];
    agent.state = step(agent.state, event, { now: this.#now as Instant, random: () => 0.5, effects });
    for (const effect of effects) {
      if (effect.kind === 'make-key')
        await this.#tell(agent, { kind: 'key-made', interface: effect.interface, publicKey: key('K') });
      // Registrations are the test's own.
      if (effect.kind !== 'send' || effect.message.type !== 'nhrp' || agent.replica === undefined) continue;
      const { message } = effect.message;
      const { type } = message.body;
      if (type === 'resolution-request' || type === 'purge-reply') {
        for (let times = this.#luck(); times > 0; times--)
          for (const answer of await this.#serve(agent, message))
            if (this.#luck() > 0) await this.#arrive(agent, answer);
      }
    }
    // Every direct tunnel works at once.
    for (const [node, { phase }] of agent.state.remotes) {
      if (phase === 'punching')
        await this.#tell(agent, { kind: 'bfd', path: `direct:${node}`, state: 'up', remoteState: 'up' });
    }
  }
}
