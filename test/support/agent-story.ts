// Tells an agent's story without a host: feed events, look at effects, desired routes and peers. Time moves only when told.
import { desiredHost } from '#agent/decide/desired.ts';
import { desiredBfd } from '#agent/decide/desired-bfd.ts';
import type { Effect, Event, PathId } from '#agent/decide/event.ts';
import { type AgentState, type BfdState, initialState, type Self } from '#agent/decide/state.ts';
import { step } from '#agent/decide/step.ts';
import { nextWake } from '#agent/decide/wake.ts';
import { parseAddress, parsePrefix } from '#proto/model/address.ts';
import { parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { parseNodeId, parseNodeName, type Role } from '#proto/model/names.ts';
import type { NhrpBody, NhrpMessage, Target } from '#proto/model/nhrp.ts';
import { defaultQuality } from '#proto/model/quality.ts';
import { must } from '#proto/model/result.ts';
import { defaultRouting, mainTable } from '#proto/model/routing.ts';
import type { HubPeer, OverlayConfig } from '#proto/model/session.ts';
import { type Instant, milliseconds, seconds } from '#proto/model/time.ts';

export const address = (text: string) => must(parseAddress(text));
export const prefix = (text: string) => must(parsePrefix(text));
export const endpoint = (text: string) => must(parseEndpoint(text));
export const nodeId = (digit: string) => must(parseNodeId(digit.repeat(16)));
export const nodeName = (text: string) => must(parseNodeName(text));
/** A key that starts with this character. */
export const key = (character: string): PublicKey => must(parsePublicKey(`${character.repeat(42)}A=`));

export const hubs = [
  {
    node: nodeId('a'),
    name: nodeName('hub-a'),
    address: address('10.9.0.1'),
    address6: undefined,
    publicKey: key('H'),
    endpoints: [endpoint('192.0.2.1:51820')],
    priority: 10,
    cluster: 0,
    draining: false,
    prefixes: [],
  },
  {
    node: nodeId('b'),
    name: nodeName('hub-b'),
    address: address('10.9.0.2'),
    address6: undefined,
    publicKey: key('I'),
    endpoints: [endpoint('192.0.2.2:51820')],
    priority: 20,
    cluster: 0,
    draining: false,
    prefixes: [],
  },
];

export const config: OverlayConfig = {
  overlay: 'test',
  phase: 3,
  summaries: [prefix('10.9.0.0/24'), prefix('192.168.0.0/16')],
  linkPrefix: prefix('fd00:1:2::/64'),
  hubs: hubs.slice(0, 1),
  holdingTime: seconds(7200),
  negativeHoldingTime: seconds(30),
  idleTimeout: seconds(60),
  bfdInterval: milliseconds(300),
  bfdMultiplier: 3,
  mtu: 1420,
  maxConnections: 0,
  fallbackTime: seconds(30),
  registries: [],
  takesAdditive: true,
  address: address('10.9.0.10'),
  address6: undefined,
  prefixes: [prefix('192.168.1.0/24')],
};

export const other: Target = {
  node: nodeId('c'),
  name: nodeName('other'),
  address: address('10.9.0.11'),
  address6: undefined,
  prefixes: [prefix('192.168.2.0/24')],
  publicKey: key('O'),
  nat: true,
  rendezvous: {
    startAfter: milliseconds(20),
    round: milliseconds(300),
    rounds: [endpoint('198.51.100.7:20001'), endpoint('198.51.100.7:20001')],
  },
};

export function selfOf(role: Role): Self {
  return {
    node: nodeId(role === 'hub' ? 'a' : '1'),
    name: nodeName(role === 'hub' ? 'hub-a' : 'me'),
    role,
    interfacePrefix: 'dmwg',
    endpoints: role === 'hub' ? [endpoint('192.0.2.1:51820')] : [],
    listenPort: role === 'hub' ? 51_820 : undefined,
    nflogGroup: 2000,
    prefixes: config.prefixes,
    routing: defaultRouting,
    exit: undefined,
    mtu: undefined,
    uplinks: [],
    quality: defaultQuality,
  };
}

export class Story {
  state: AgentState;
  now = 1000;
  #effects: Effect[] = [];
  #keys = 'KLMNPQRSTUVWXYZ';

  constructor(role: Role = 'spoke') {
    this.state = initialState(selfOf(role));
  }

  /** Feeds an event, and answers the effects that ask for keys. */
  tell(event: Event): void {
    const turn = { now: this.now as Instant, random: () => 0.5, effects: [] as Effect[] };
    this.state = step(this.state, event, turn);
    this.#effects.push(...turn.effects);
    for (const effect of turn.effects) {
      if (effect.kind !== 'make-key') continue;
      const publicKey = key(this.#keys.charAt(0));
      this.#keys = this.#keys.slice(1);
      this.tell({ kind: 'key-made', interface: effect.interface, publicKey });
    }
  }

  /** Lets time pass, with a tick at every moment the agent asked for. */
  wait(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (;;) {
      const due = nextWake(this.state, this.now as Instant) ?? Infinity;
      if (due > end) break;
      this.now = Math.max(this.now, due);
      this.tell({ kind: 'tick' });
      if (due < this.now) break;
    }
    this.now = end;
    this.tell({ kind: 'tick' });
  }

  hear(body: NhrpBody, fields: Partial<NhrpMessage> = {}): void {
    const message: NhrpMessage = {
      hopCount: 16,
      requestId: 0,
      sourceNbma: undefined,
      source: config.address,
      destination: other.address,
      extensions: [],
      ...fields,
      body,
    };
    this.tell({ kind: 'message', message: { type: 'nhrp', message } });
  }

  bfd(path: PathId, state: BfdState, remoteState: BfdState = state): void {
    this.tell({ kind: 'bfd', path, state, remoteState });
  }

  /** Since the last call. */
  effects<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }>[] {
    const found = this.#effects.filter((effect) => effect.kind === kind);
    this.#effects = this.#effects.filter((effect) => effect.kind !== kind);
    return found as Extract<Effect, { kind: K }>[];
  }

  /** NHRP messages that were sent since the last call, by type. */
  sent<T extends NhrpBody['type']>(type: T): NhrpMessage<Extract<NhrpBody, { type: T }>>[] {
    const messages = this.effects('send').flatMap(({ message }) => (message.type === 'nhrp' ? [message.message] : []));
    return messages.filter((message) => message.body.type === type) as never;
  }

  /** "prefix interface" of a table, sorted, without the link routes. */
  routes(table: number = mainTable): string[] {
    return [...desiredHost(this.state).routes.values()]
      .filter((route) => !route.prefix.startsWith('fd') && route.table === table)
      .map((route) => `${route.prefix} ${route.interfaces.join()}`)
      .sort();
  }

  peers(name: string): PublicKey[] {
    return [...(desiredHost(this.state).interfaces.get(name)?.peers.keys() ?? [])];
  }

  paths(): string[] {
    return [...desiredBfd(this.state, this.now as Instant).keys()];
  }
}

/** A spoke whose hub tunnel is Up. */
export function joinedSpoke(overlay: OverlayConfig = config): Story {
  const story = new Story('spoke');
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  story.tell({ kind: 'message', message: { type: 'overlay-config', config: overlay } });
  for (const hub of overlay.hubs) story.bfd(`hub:${hub.node}`, 'up');
  story.effects('send');
  story.effects('replace-peer');
  return story;
}

/** A spoke that was told of `other` and has a shortcut to it. */
export function directSpoke(): Story {
  const story = joinedSpoke();
  resolve(story, other);
  story.wait(25);
  story.bfd(`direct:${other.node}`, 'up');
  return story;
}

/** Indication, request and reply. */
export function resolve(story: Story, target: Target): void {
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: target.address });
  const [request] = story.sent('resolution-request');
  if (!request) throw new Error('nothing was asked');
  reply(story, request.requestId, target);
}

export function reply(story: Story, requestId: number, target: Target | undefined, code = 0, holding = 7200): void {
  const cie = {
    code,
    prefixLength: 255,
    mtu: 1420,
    holdingTime: seconds(code === 0 ? holding : 0),
    nbma: [],
    protocolAddress: target?.address ?? other.address,
    preference: 0,
  };
  const flags = { router: true, authoritative: true, destinationStable: true, unique: true, sourceStable: true };
  story.hear({ type: 'resolution-reply', ...flags, cies: [cie], target }, { requestId });
}

export function hubPeer(): HubPeer {
  return {
    node: nodeId('c'),
    name: nodeName('other'),
    address: address('10.9.0.11'),
    address6: undefined,
    interfaces: [
      { kind: 'multipoint', publicKey: key('O'), hub: undefined, endpoints: [] },
      { kind: 'hub-tunnel', publicKey: key('P'), hub: nodeId('a'), endpoints: [] },
    ],
  };
}
