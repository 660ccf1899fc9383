import { createServer, type Server, type Socket } from 'node:net';
import type { HostPort } from '#proto/codec/host-port.ts';

/** Handshakes that begin in one turn of the loop. Each costs about 2.5 ms of it, in parts: what is connected is served in between. */
const mostATurn = 4;
/** Milliseconds; who waited for longer gave up, and comes back by itself. */
const patience = 10_000;
/** Milliseconds without a word after which the kernel looks whether the other end is there. */
const probeAfter = 10_000;

/** Where connections go: the TLS of the gRPC server. */
export type Inject = (socket: Socket) => void;

/** From outside, as `Connections` sees one. */
interface Waiting {
  readonly socket: Socket;
  readonly since: number;
}

/**
 * Lets connections in a few at a time, the newest first: when all nodes come back at once, those that are in go on being served, and
 * who is let in has not given up meanwhile. Knows of each how much it has said.
 */
export class Connections {
  readonly #inject: Inject;
  readonly #server: Server;
  readonly #open = new Map<string, Socket>();
  readonly #waiting: Waiting[] = [];
  #turn: NodeJS.Immediate | undefined;

  constructor(inject: Inject) {
    this.#inject = inject;
    this.#server = createServer({
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: probeAfter,
    });
    this.#server.on('connection', (socket) => {
      // Nobody else listens until it is let in.
      socket.on('error', () => socket.destroy());
      this.#waiting.push({ socket, since: performance.now() });
      this.#turn ??= setImmediate(this.#letIn.bind(this));
    });
  }

  /** Rejects with the error of the system. Returns the port. */
  listen({ host, port }: HostPort): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        const bound = this.#server.address();
        resolve(typeof bound === 'object' && bound ? bound.port : port);
      });
    });
  }

  drop(peer: string): void {
    this.#open.get(peer)?.destroy();
  }

  /** Octets that came from `peer`, an address and port as gRPC shows them; undefined if it is not connected. */
  heard(peer: string): number | undefined {
    return this.#open.get(peer)?.bytesRead;
  }

  /** Nobody is let in any more. */
  close(): void {
    clearImmediate(this.#turn);
    this.#server.close();
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
  }

  #letIn(): void {
    this.#turn = undefined;
    for (let count = 0; count < mostATurn; ) {
      const next = this.#waiting.pop();
      if (!next) return;
      if (performance.now() - next.since > patience) next.socket.destroy();
      else {
        this.#admit(next.socket);
        count++;
      }
    }
    if (this.#waiting.length > 0) this.#turn = setImmediate(this.#letIn.bind(this));
  }

  #admit(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    const peer = `${remoteAddress}:${String(remotePort)}`;
    this.#open.set(peer, socket);
    socket.once('close', () => {
      if (this.#open.get(peer) === socket) this.#open.delete(peer);
    });
    this.#inject(socket);
  }
}
