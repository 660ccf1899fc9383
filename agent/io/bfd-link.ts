// The sockets of one own link address: RFC 5881 section 4 wants port 3784 for receiving, an ephemeral source port that stays
// the same for a session, and hop limit 255.
import { createSocket, type Socket } from 'node:dgram';
import { systemCode } from '#proto/kit/errors.ts';
import { type Address, familyOf } from '#proto/model/address.ts';

export interface BfdLinkEvents {
  /** Packets can be sent from now on. */
  readonly onReady: () => void;
  readonly onPacket: (bytes: Uint8Array, from: string) => void;
  /** It could not be bound (the address is not there yet), and is tried again. */
  readonly onBindError: (code: string) => void;
}

export interface BfdLink {
  /** Does nothing while the sockets are not bound. `done` gets the error of the system. */
  send(bytes: Uint8Array, remote: Address, done: (error: Error | null) => void): void;
  /** Tries to bind now if it is not bound. */
  retry(): void;
  close(): void;
}

export type OpenBfdLink = (local: Address, events: BfdLinkEvents, random: () => number) => BfdLink;

const controlPort = 3784;
const firstSourcePort = 49_152;
const sourcePorts = 16_384;
const hopLimit = 255;
const retryEvery = 200;
const receiveBuffer = 1 << 20;

export const openBfdLink: OpenBfdLink = (local, events, random) => new SocketLink(local, events, random);

class SocketLink implements BfdLink {
  readonly #local: Address;
  readonly #events: BfdLinkEvents;
  readonly #random: () => number;
  #sockets: readonly Socket[] = [];
  #sender: Socket | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(local: Address, events: BfdLinkEvents, random: () => number) {
    this.#local = local;
    this.#events = events;
    this.#random = random;
    this.#open();
  }

  send(bytes: Uint8Array, remote: Address, done: (error: Error | null) => void): void {
    this.#sender?.send(bytes, controlPort, remote, done);
  }

  retry(): void {
    if (this.#retry === undefined) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#open();
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#closeSockets();
  }

  #open(): void {
    const receiver = this.#socket(true);
    const sender = this.#socket(false);
    this.#sockets = [receiver, sender];
    for (const socket of this.#sockets) {
      socket.on('error', (error) => {
        this.#failed(socket, error);
      });
    }
    receiver.on('listening', () => {
      growReceiveBuffer(receiver);
      sender.bind(firstSourcePort + Math.floor(this.#random() * sourcePorts), this.#local);
    });
    sender.on('listening', () => {
      sender.setTTL(hopLimit);
      this.#sender = sender;
      this.#events.onReady();
    });
    receiver.on('message', (bytes, from) => {
      this.#events.onPacket(bytes, from.address);
    });
    receiver.bind(controlPort, this.#local);
  }

  #socket(reuseAddr: boolean): Socket {
    const family = familyOf(this.#local);
    return createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      ipv6Only: family === 6,
      // Another BFD on this host may have port 3784 of all addresses.
      reuseAddr,
      // All addresses are numbers; the default would wait a turn of the loop with every packet.
      lookup: (address, _options, callback) => {
        callback(null, address, family);
      },
    });
  }

  #failed(socket: Socket, error: Error): void {
    if (!this.#sockets.includes(socket)) return;
    this.#closeSockets();
    this.#events.onBindError(systemCode(error) ?? error.message);
    this.#retry = setTimeout(() => {
      this.retry();
    }, retryEvery);
  }

  #closeSockets(): void {
    const sockets = this.#sockets;
    this.#sockets = [];
    this.#sender = undefined;
    for (const socket of sockets) socket.close();
  }
}

/** Room for a burst of thousands of sessions; the kernel cuts it to what it allows. */
function growReceiveBuffer(socket: Socket): void {
  try {
    socket.setRecvBufferSize(receiveBuffer);
  } catch {
    // The default does for most hosts.
  }
}
