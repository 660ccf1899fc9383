// A node's side of a session with a registry, on bare HTTP/2: what it costs its own process is small beside what the registry spends.
import type { IncomingHttpHeaders } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { SessionRequest, SessionResponse } from '#proto/gen/dmwg/v1/nhrp.ts';
import type { Member, Place } from './node.ts';

/** Octets before a message of gRPC: not compressed, and its length. */
const prefixOctets = 5;
/** Large, so that the registry is never held up, and few octets are spent on windows. */
const window = 1 << 20;

/** A message as it goes on the stream. */
export function framed(request: SessionRequest): Buffer {
  const body = SessionRequest.encode(request).finish();
  const frame = Buffer.alloc(prefixOctets + body.length);
  frame.writeUInt32BE(body.length, 1);
  frame.set(body, prefixOctets);
  return frame;
}

export class BareSession {
  readonly address: string;
  readonly #http2: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #authority: string;
  #rest = Buffer.alloc(0);
  /** Resolves with the Welcome, rejects if the session ends before. */
  readonly welcome: Promise<void>;
  ended = false;

  constructor(registry: Place, { address, certificate, key }: Member, onMessage: (response: SessionResponse) => void) {
    this.address = address;
    this.#authority = registry.address;
    // The registry is the benchmark's own, on loopback.
    this.#http2 = connect(`https://${registry.address}`, {
      ca: registry.ca,
      cert: certificate,
      key,
      checkServerIdentity: () => undefined,
      settings: { enablePush: false, initialWindowSize: window },
    });
    this.#http2.on('connect', () => {
      this.#http2.setLocalWindowSize(window);
    });
    this.#stream = this.#request('/dmwg.v1.NhrpService/Session');
    this.welcome = new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        this.ended = true;
        reject(error ?? new Error('the session ended'));
      };
      this.#http2.on('error', end);
      this.#stream.on('error', end);
      this.#stream.on('close', end);
      this.#stream.on('data', (data: Buffer) => {
        for (const message of this.#take(data)) {
          if (message.body?.$case === 'welcome') resolve();
          else if (message.body?.$case === 'ping')
            this.write(framed({ body: { $case: 'pong', value: { id: message.body.value.id } } }));
          else onMessage(message);
        }
      });
    });
    this.write(framed({ body: { $case: 'hello', value: { agentVersion: 'bench' } } }));
  }

  write(frame: Buffer): void {
    if (!this.ended) this.#stream.write(frame);
  }

  /** One unary call with an empty message, on the same connection. Resolves with whether it was answered well. */
  call(path: string): Promise<boolean> {
    if (this.ended) return Promise.resolve(false);
    return new Promise((resolve) => {
      const stream = this.#request(path);
      let good = false;
      stream.on('trailers', (trailers: IncomingHttpHeaders) => {
        good = trailers['grpc-status'] === '0';
      });
      stream.on('error', () => undefined);
      stream.on('close', () => {
        resolve(good);
      });
      stream.resume();
      stream.end(Buffer.alloc(prefixOctets));
    });
  }

  close(): void {
    this.ended = true;
    this.#http2.destroy();
  }

  #request(path: string): ClientHttp2Stream {
    return this.#http2.request({
      ':method': 'POST',
      ':path': path,
      ':authority': this.#authority,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
  }

  #take(data: Buffer): SessionResponse[] {
    const found: SessionResponse[] = [];
    let rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    while (rest.length >= prefixOctets) {
      const end = prefixOctets + rest.readUInt32BE(1);
      if (rest.length < end) break;
      found.push(SessionResponse.decode(rest.subarray(prefixOctets, end)));
      rest = rest.subarray(end);
    }
    this.#rest = Buffer.from(rest);
    return found;
  }
}
