// etcd through the etcd3 package: the only file that knows it. Its connection pool and its RPC clients are used; its
// Watcher, Lease and retries are not. The Watcher resumes after the store's current revision instead of the last event that
// it delivered, and so loses events when its stream breaks during a replay; here the reflector says where to begin.
import { isBrokenCircuitError, noop } from 'cockatiel';
import {
  CompareResult,
  CompareTarget,
  Etcd3,
  EtcdError as EtcdAnswerError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCFailedPreconditionError,
  GRPCInvalidArgumentError,
  GRPCUnauthenticatedError,
  type IKeyValue,
  isRecoverableError,
  type IWatchRequest,
  type IWatchResponse,
} from 'etcd3';
import { errorText } from '#proto/kit/errors.ts';
import {
  type Entry,
  type Etcd,
  type EtcdCredentials,
  EtcdError,
  type EtcdEvent,
  type EtcdOutcome,
  type EtcdTransaction,
  type KeepAliveHandlers,
  type Listing,
  type WatchHandlers,
} from './etcd-port.ts';
import { openStream } from './etcd-stream.ts';
import { channelOptions, memberBreaker } from './etcd-settings.ts';
import { prefixEnd } from './keys.ts';

/** Milliseconds for one attempt of a unary call; etcd3's default is none. */
const callDeadline = 2000;
/** Keys a page of a listing. */
const pageSize = 2000;

const refusals = [
  EtcdAnswerError,
  EtcdPermissionDeniedError,
  GRPCInvalidArgumentError,
  GRPCUnauthenticatedError,
  GRPCFailedPreconditionError,
];

export function connectEtcd(endpoints: readonly string[], credentials?: EtcdCredentials): Etcd {
  return new Etcd3Client(endpoints, credentials);
}

class Etcd3Client implements Etcd {
  readonly #client: Etcd3;
  readonly #closed = new AbortController();

  constructor(endpoints: readonly string[], credentials: EtcdCredentials | undefined) {
    this.#client = new Etcd3({
      hosts: [...endpoints],
      ...(credentials && {
        credentials: {
          rootCertificate: credentials.ca,
          ...(credentials.client && {
            privateKey: credentials.client.key,
            certChain: credentials.client.certificate,
          }),
        },
      }),
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + callDeadline }),
      grpcOptions: channelOptions,
      // Retries are the store's own.
      faultHandling: { global: noop, host: () => memberBreaker(endpoints.length, isConnectionError) },
    });
  }

  async list(prefix: string): Promise<Listing> {
    const entries: Entry[] = [];
    const rangeEnd = Buffer.from(prefixEnd(prefix));
    let key = Buffer.from(prefix);
    let revision: string | undefined;
    for (;;) {
      const page = await attempt(
        this.#client.kv.range({
          key,
          range_end: rangeEnd,
          limit: pageSize,
          ...(revision !== undefined && { revision }),
        }),
      );
      revision ??= page.header.revision;
      entries.push(...page.kvs.map(entryOf));
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) {
        return { cluster: page.header.cluster_id, revision: BigInt(revision), entries };
      }
      key = Buffer.concat([last.key, Buffer.from([0])]);
    }
  }

  async transact(transaction: EtcdTransaction): Promise<EtcdOutcome> {
    const first = transaction.put.slice(0, 1);
    const compared = new Set([...transaction.compare, ...first].map(({ key }) => key));
    const answer = await attempt(
      this.#client.kv.txn({
        compare: transaction.compare.map(({ key, revision }) => ({
          key: Buffer.from(key),
          target: CompareTarget.Mod,
          result: CompareResult.Equal,
          mod_revision: revision.toString(),
        })),
        success: [
          ...transaction.put.map(({ key, value, lease }) => ({
            request_put: { key: Buffer.from(key), value: Buffer.from(value), ...(lease !== undefined && { lease }) },
          })),
          ...transaction.delete.map((key) => ({ request_delete_range: { key: Buffer.from(key) } })),
        ],
        failure: [...compared].map((key) => ({ request_range: { key: Buffer.from(key) } })),
      }),
    );
    if (!answer.succeeded) {
      return { applied: false, found: answer.responses.flatMap((each) => each.response_range.kvs.map(entryOf)) };
    }
    const deletions = answer.responses.slice(transaction.put.length);
    const changed = transaction.put.length > 0 || deletions.some((each) => each.response_delete_range.deleted !== '0');
    return { applied: true, revision: BigInt(answer.header.revision), changed };
  }

  watch(prefix: string, from: bigint, handlers: WatchHandlers): () => void {
    // Parts of one revision that was too large for one message.
    let parts: EtcdEvent[] = [];
    const stream = openStream<IWatchRequest, IWatchResponse, 'compacted'>(
      () => this.#client.watchClient.watch(),
      {
        create_request: {
          key: Buffer.from(prefix),
          range_end: Buffer.from(prefixEnd(prefix)),
          start_revision: from.toString(),
          progress_notify: true,
          fragment: true,
        },
      },
      {
        data: (answer, end) => {
          if (answer.canceled) {
            end(
              answer.compact_revision === '0' ? 'broken' : 'compacted',
              answer.cancel_reason || 'the watch was cancelled',
            );
          } else if (answer.created) {
            handlers.opened(answer.header.cluster_id, BigInt(answer.header.revision));
          } else {
            parts.push(...answer.events.map(eventOf));
            if (answer.fragment || parts.length === 0) return;
            const events = parts;
            parts = [];
            handlers.events(events);
          }
        },
        ended: (reason, message) => {
          handlers.ended(reason, message);
        },
      },
      this.#closed.signal,
    );
    return stream.stop;
  }

  async grantLease(ttl: number): Promise<string> {
    const granted = await attempt(this.#client.leaseClient.leaseGrant({ TTL: ttl }));
    return granted.ID;
  }

  keepAlive(lease: string, interval: number, handlers: KeepAliveHandlers): () => void {
    const stream = openStream<{ ID: string }, { TTL: string }, 'lost'>(
      () => this.#client.leaseClient.leaseKeepAlive(),
      { ID: lease },
      {
        data: (answer, end) => {
          if (answer.TTL === '0') end('lost', `lease ${lease} is gone`);
          else handlers.alive();
        },
        ended: (reason, message) => {
          clearInterval(timer);
          handlers.ended(reason, message);
        },
      },
      this.#closed.signal,
    );
    const timer = setInterval(() => {
      stream.write({ ID: lease });
    }, interval);
    return () => {
      clearInterval(timer);
      stream.stop();
    };
  }

  async revokeLease(lease: string): Promise<void> {
    await attempt(this.#client.leaseClient.leaseRevoke({ ID: lease }));
  }

  close(): void {
    this.#closed.abort();
    this.#client.close();
  }
}

async function attempt<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw translate(error);
  }
}

function translate(error: unknown): EtcdError {
  const message = errorText(error);
  if (error instanceof EtcdLeaseInvalidError) return new EtcdError('no-lease', message);
  if (error instanceof Error && (isRecoverableError(error) || isBrokenCircuitError(error))) {
    return new EtcdError('transient', message);
  }
  return new EtcdError(refusals.some((kind) => error instanceof kind) ? 'refused' : 'transient', message);
}

/** Not what a living etcd answers, such as "no leader". */
function isConnectionError(error: Error): boolean {
  return isRecoverableError(error) && !error.message.includes('etcdserver:');
}

function entryOf(kv: IKeyValue): Entry {
  return { key: kv.key.toString(), value: kv.value.toString(), revision: BigInt(kv.mod_revision) };
}

function eventOf(event: IWatchResponse['events'][number]): EtcdEvent {
  const key = event.kv.key.toString();
  const revision = BigInt(event.kv.mod_revision);
  return event.type === 'Delete'
    ? { kind: 'delete', key, revision }
    : { kind: 'put', key, value: event.kv.value.toString(), revision };
}
