import { Metadata, status } from '@grpc/grpc-js';
import { encodeRegistryMessage } from '#proto/codec/session.ts';
import { ReplicaServiceClient } from '#proto/gen/dmwg/v1/replica.ts';
import type { Logger } from '#proto/kit/log.ts';
import { type ClientIdentity, registryCredentials } from '#proto/kit/registry-credentials.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { type Milliseconds, milliseconds } from '#proto/model/time.ts';
import type { ReplicaRecord } from '#registry/decide/records.ts';
import type { Snapshot } from '#registry/decide/state.ts';
import type { Peers } from './sessions.ts';

const pushWithin = 1000;
/** A measurement holds a resolution up: better a start at an unknown distance than a late one. */
const measureWithin = 250;

/** The other replicas, reached by mutual TLS with the registry's own certificate. */
export class Replicas implements Peers {
  readonly #identity: () => ClientIdentity;
  readonly #snapshot: () => Snapshot;
  readonly #log: Logger;
  readonly #clients = new Map<string, ReplicaServiceClient>();

  constructor(identity: () => ClientIdentity, snapshot: () => Snapshot, log: Logger) {
    this.#identity = identity;
    this.#snapshot = snapshot;
    this.#log = log;
  }

  async push(replica: string, node: NodeId, message: NhrpMessage): Promise<boolean> {
    const request = { nodeId: node, replicaId: replica, message: encodeRegistryMessage({ type: 'nhrp', message }) };
    const client = this.#client(replica);
    if (!client) return false;
    return new Promise((resolve) => {
      client.push(request, new Metadata(), { deadline: Date.now() + pushWithin }, (error, answer) => {
        if (error) this.#log.warn({ replica, error: error.details }, 'push to replica failed');
        resolve(!error && answer.delivered);
      });
    });
  }

  async measure(replica: string, node: NodeId): Promise<Milliseconds | undefined> {
    const client = this.#client(replica);
    if (!client) return undefined;
    return new Promise((resolve) => {
      const request = { nodeId: node, replicaId: replica };
      client.measure(request, new Metadata(), { deadline: Date.now() + measureWithin }, (error, answer) => {
        if (error) this.#log.warn({ replica, error: error.details }, 'measuring by replica failed');
        // It is busy, or the connection to it is new: the node is there all the same, and must hear of who asks.
        if (error?.code === status.DEADLINE_EXCEEDED) resolve(milliseconds(0));
        else resolve(!error && answer.connected ? milliseconds(answer.rttMs) : undefined);
      });
    });
  }

  /**
   * Another replica that is reached at the address of `self`, which does not serve yet. One that crashed leaves its record for
   * some seconds, but does not answer.
   */
  async namesake(self: ReplicaRecord): Promise<string | undefined> {
    for (const { id, address } of this.#snapshot().replicas.values()) {
      if (id === self.id || address !== self.address) continue;
      if (await this.#answers(id)) return id;
    }
    return undefined;
  }

  async #answers(replica: string): Promise<boolean> {
    const request = { nodeId: '0'.repeat(16), replicaId: replica };
    return new Promise((resolve) => {
      this.#client(replica)?.measure(request, new Metadata(), { deadline: Date.now() + pushWithin }, (error) => {
        resolve(!error || error.code === status.FAILED_PRECONDITION);
      });
    });
  }

  /** The certificate was renewed, or the program stops. */
  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #client(replica: string): ReplicaServiceClient | undefined {
    const address = this.#snapshot().replicas.get(replica)?.address;
    if (address === undefined) return undefined;
    let client = this.#clients.get(address);
    if (!client) {
      client = new ReplicaServiceClient(`dns:${address}`, registryCredentials(this.#identity()), {
        'grpc.ssl_target_name_override': 'registry.dmwg.invalid',
        'grpc.keepalive_time_ms': 3000,
        'grpc.keepalive_timeout_ms': 2000,
        'grpc.enable_http_proxy': 0,
      });
      this.#clients.set(address, client);
    }
    return client;
  }
}
