// The connections between hubs inside their tunnels: each hub tells every other one which spokes it reaches, first all of them,
// then what changes. A hub connects from its end of the tunnel and listens at it; nobody else is listened to.
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Reach } from '#agent/decide/event.ts';
import type { ReachLink } from '#agent/decide/transit.ts';
import { decodeReach, longestReachLine, reachLines } from '#proto/codec/reach.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import { type Address, parseAddress } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { HubReach } from './hub-reach-port.ts';

/** TCP, on link addresses only. */
const port = 51_109;
/** Milliseconds. */
const retryEvery = 1000;
const silence = 10_000;
/** Octets that may wait for a hub that does not read. */
const mostWaiting = 16 * 1024 * 1024;
/** Nodes that another hub may name before it has come to an end. */
const mostNamed = 200_000;

export function createHubReach(options: {
  readonly logger: Logger;
  readonly onReach: (reach: Reach) => void;
}): HubReach {
  const links = new Map<NodeId, Link>();
  let own: ReadonlyMap<NodeId, unknown> = new Map();
  return {
    set(wanted, reached) {
      for (const [hub, link] of links) {
        if (sameEnds(link.ends, wanted.get(hub))) continue;
        link.close();
        links.delete(hub);
      }
      own = reached;
      for (const [hub, ends] of wanted) {
        const link = links.get(hub) ?? new Link(hub, ends, { ...options, own: () => own });
        links.set(hub, link);
        link.tell(ends.up);
      }
    },
    close() {
      for (const link of links.values()) link.close();
      links.clear();
    },
  };
}

function sameEnds(a: ReachLink, b: ReachLink | undefined): boolean {
  return a.local === b?.local && a.remote === b.remote;
}

interface LinkOptions {
  readonly logger: Logger;
  readonly onReach: (reach: Reach) => void;
  readonly own: () => ReadonlyMap<NodeId, unknown>;
}

class Link {
  readonly ends: ReachLink;
  readonly #hub: NodeId;
  readonly #options: LinkOptions;
  #server: Server | undefined;
  #heard: Socket | undefined;
  #out: Socket | undefined;
  /** What the other hub was told, and of what it was made; undefined: nothing yet. */
  #told: ReadonlySet<NodeId> | undefined;
  #toldOf: ReadonlyMap<NodeId, unknown> | undefined;
  #wanted = false;
  #closed = false;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(hub: NodeId, ends: ReachLink, options: LinkOptions) {
    this.#hub = hub;
    this.ends = ends;
    this.#options = options;
    this.#listen();
  }

  /** Tells what is new, over a connection that is there while the tunnel is Up. */
  tell(up: boolean): void {
    this.#wanted = up;
    if (!up) this.#out?.destroy();
    else if (!this.#out) this.#connect();
    else this.#send();
  }

  close(): void {
    this.#closed = true;
    this.#wanted = false;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#out?.destroy();
    this.#heard?.destroy();
    this.#server?.close();
  }

  #later(what: () => void): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, retryEvery);
    timer.unref();
    this.#timers.add(timer);
  }

  #listen(): void {
    if (this.#closed) return;
    const server = createServer((socket) => {
      this.#hear(socket);
    });
    // The address comes with the interface, some time.
    server.on('error', () => {
      server.close();
      this.#later(() => {
        this.#listen();
      });
    });
    server.listen({ host: this.ends.local, port });
    this.#server = server;
  }

  #connect(): void {
    const socket = connect({ host: this.ends.remote, port, localAddress: this.ends.local, noDelay: true });
    this.#out = socket;
    this.#told = undefined;
    socket.setKeepAlive(true, silence);
    socket.on('connect', () => {
      this.#send();
    });
    // It says nothing; what it would say is not kept.
    socket.resume();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#out !== socket) return;
      this.#out = undefined;
      this.#later(() => {
        if (this.#wanted && !this.#out) this.#connect();
      });
    });
  }

  #send(): void {
    const socket = this.#out;
    const own = this.#options.own();
    if (!socket || socket.connecting || socket.destroyed || (this.#told && own === this.#toldOf)) return;
    if (socket.writableLength > mostWaiting) {
      socket.destroy();
      return;
    }
    const now = new Set(own.keys());
    const before = this.#told;
    const up = [...now].filter((node) => before?.has(node) !== true);
    const down = [...(before ?? [])].filter((node) => !now.has(node));
    this.#told = now;
    this.#toldOf = own;
    const lines = reachLines(before === undefined, up, down);
    if (lines.length > 0) socket.write(lines.join(''));
  }

  /** A newer connection takes the place of an older one. */
  #hear(socket: Socket): void {
    const from = parseAddress(socket.remoteAddress ?? '');
    if (!from.ok || from.value !== (this.ends.remote satisfies Address)) {
      socket.destroy();
      return;
    }
    this.#heard?.destroy();
    this.#heard = socket;
    socket.setKeepAlive(true, silence);
    socket.setEncoding('utf8');
    let rest = '';
    let parts = { snapshot: false, up: [] as NodeId[], down: [] as NodeId[] };
    const refuse = (reason: string): void => {
      this.#options.logger.warn({ hub: this.#hub, reason }, 'what a hub says it reaches was not understood');
      socket.destroy();
    };
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const one of lines) {
        const line = decodeReach(one);
        if (!line.ok) {
          refuse(line.fault.message);
          return;
        }
        const { snapshot, more, up, down } = line.value;
        parts = {
          snapshot: snapshot || parts.snapshot,
          up: [...(snapshot ? [] : parts.up), ...up],
          down: [...(snapshot ? [] : parts.down), ...down],
        };
        if (more) continue;
        this.#options.onReach({ hub: this.#hub, ...parts });
        parts = { snapshot: false, up: [], down: [] };
      }
      if (rest.length > longestReachLine) refuse('a line is too long');
      else if (parts.up.length + parts.down.length > mostNamed) refuse('it names too many nodes');
    });
    socket.on('error', (error) => {
      this.#options.logger.debug({ hub: this.#hub, error: errorText(error) }, 'a hub is not heard any more');
    });
  }
}
