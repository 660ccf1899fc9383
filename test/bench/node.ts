// A node's side of a session with a registry, as thin as can be.
import type { ChannelCredentials, ClientDuplexStream } from '@grpc/grpc-js';
import { decodeRegistryMessage, encodeNodeMessage } from '#proto/codec/session.ts';
import { NhrpServiceClient, type SessionRequest, type SessionResponse } from '#proto/gen/dmwg/v1/nhrp.ts';
import { registryChannelOptions, registryCredentials } from '#proto/kit/registry-credentials.ts';
import { Secret } from '#proto/kit/secret.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import type { NodeMessage } from '#proto/model/session.ts';

export interface Place {
  readonly address: string;
  readonly ca: string;
}

export interface Member {
  readonly address: string;
  readonly certificate: string;
  readonly key: string;
}

export class Node {
  readonly address: string;
  #stream: ClientDuplexStream<SessionRequest, SessionResponse>;
  #closed = false;
  readonly #client: NhrpServiceClient;
  /** host:port */
  readonly registry: string;
  readonly credentials: ChannelCredentials;
  onNhrp: (message: NhrpMessage) => void = () => undefined;
  welcome = false;

  constructor(registry: Place, { address, certificate, key }: Member) {
    this.address = address;
    this.registry = registry.address;
    this.credentials = registryCredentials({ ca: registry.ca, certificate, key: new Secret(key) });
    this.#client = new NhrpServiceClient(registry.address, this.credentials, registryChannelOptions(registry.address));
    this.#stream = this.#open();
  }

  /** As an agent, it comes back when its session ends: a process that is too busy for keepalives loses it. */
  #open(): ClientDuplexStream<SessionRequest, SessionResponse> {
    const stream = this.#client.session();
    stream.on('error', () => {
      if (this.#closed) return;
      setTimeout(() => {
        if (!this.#closed) this.#stream = this.#open();
      }, 200);
    });
    stream.on('data', (response: SessionResponse) => {
      const message = must(decodeRegistryMessage(response));
      if (message.type === 'ping') this.send({ type: 'pong', id: message.id });
      if (message.type === 'welcome') this.welcome = true;
      if (message.type === 'nhrp') this.onNhrp(message.message);
    });
    stream.write(encodeNodeMessage({ type: 'hello', agentVersion: 'bench' }));
    return stream;
  }

  send(message: NodeMessage): void {
    this.#stream.write(encodeNodeMessage(message));
  }

  say(message: NhrpMessage): void {
    this.send({ type: 'nhrp', message });
  }

  close(): void {
    this.#closed = true;
    this.#stream.cancel();
    this.#client.close();
  }
}
