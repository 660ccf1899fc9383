// The store on etcd: what registry/store is for. Reads come from a mirror in memory, which stays as it is while etcd is away;
// writes are transactions, and are over when the mirror shows them. May import the deciders' types, the model and the kit;
// only etcd.ts imports etcd3. Expected failures of a commit are faults; openStore throws ProgramError.
import type { Clock } from '#proto/kit/clock.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import { after, milliseconds } from '#proto/model/time.ts';
import type { ReplicaRecord } from '#registry/decide/records.ts';
import { commit } from './commit.ts';
import type { EtcdCredentials } from './etcd-port.ts';
import { connectEtcd } from './etcd.ts';
import { Feed } from './feed.ts';
import { keyText, overlayRoot } from './keys.ts';
import { ReplicaLease } from './lease.ts';
import { Mirror } from './mirror.ts';
import type { Key, Store } from './port.ts';
import { Reflector } from './reflector.ts';
import { settleBefore } from './retry.ts';
import { ToldKeys } from './told.ts';

/** Milliseconds; a program that stops has little time. */
const closeWithin = 1000;

export interface OpenStoreOptions {
  /** "http://host:port", "https://host:port" or "unix:/path". */
  readonly endpoints: readonly string[];
  readonly credentials?: EtcdCredentials;
  readonly overlay: string;
  readonly replica: ReplicaRecord;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Milliseconds for the first listing and the replica's own record; default 10 s. */
  readonly openWithin?: number;
  /** Milliseconds between listings that do not trust the watch; default 5 min. */
  readonly relistEvery?: number;
}

export type OpenStore = Store & { close(): Promise<void> };

/** Resolves when everything was read and this replica is announced. Throws ProgramError when etcd does not answer in time. */
export async function openStore(options: OpenStoreOptions): Promise<OpenStore> {
  const { endpoints, credentials, overlay, replica, clock, openWithin = 10_000, relistEvery = 300_000 } = options;
  const logger = options.logger.child({ component: 'store' });
  const root = overlayRoot(overlay);
  const etcd = connectEtcd(endpoints, credentials);
  const mirror = new Mirror();
  const feed = new Feed(root, mirror, logger);
  const lease = new ReplicaLease({ etcd, root, replica: replica.id, clock, logger });
  const reflector = new Reflector({ etcd, prefix: root, into: feed, logger, relistEvery });

  // Sessions that another replica took, or whose node is gone, must not come back with a new lease.
  feed.onChange((changes) => {
    const { sessions, nodes } = mirror.snapshot();
    const resynchronised = changes.some((change) => change.kind === 'all');
    const touched = changes.flatMap((change) =>
      change.kind === 'session' || change.kind === 'node' ? [change.id] : [],
    );
    for (const id of resynchronised ? lease.sessions() : touched) {
      const holder = sessions.get(id)?.replica ?? replica.id;
      if (holder !== replica.id || !nodes.has(id)) lease.unbind(keyText({ kind: 'session', id }));
    }
  });

  const stop = new AbortController();
  lease.bind({ kind: 'replica', record: replica }, '');
  const running = [reflector.run(stop.signal), lease.run(stop.signal)];
  const close = async (): Promise<void> => {
    stop.abort();
    // With etcd away neither is waited for: the keys go when the lease expires.
    const ended = Promise.all([...running, lease.revoke()]);
    const outcome = await settleBefore(clock, after(clock.now(), milliseconds(closeWithin)), ended);
    if ('error' in outcome)
      logger.warn({ error: errorText(outcome.error) }, 'the store closed without saying goodbye to etcd');
    etcd.close();
  };

  const deadline = after(clock.now(), milliseconds(openWithin));
  // An earlier run's record may still be there: it counts from the moment when this run has a lease.
  const announced = (): boolean => lease.fresh() && mirror.snapshot().replicas.has(replica.id);
  if (!(await feed.until(announced, clock, deadline))) {
    stop.abort();
    etcd.close();
    const reason = reflector.lastError() ?? 'it did not answer';
    throw new ProgramError(
      `cannot read the store from etcd at ${endpoints.join(', ')}: ${reason}. Is etcd running there?`,
    );
  }
  const store: OpenStore = {
    snapshot: () => mirror.snapshot(),
    onChange: (listener) => feed.onChange(listener),
    commit: (transaction) =>
      commit(transaction, {
        etcd,
        root,
        mirror,
        feed,
        lease,
        clock,
        relist: () => {
          reflector.relist();
        },
      }),
    told: new ToldKeys({ etcd, overlay, clock, logger }),
    healthy: () => reflector.following() && lease.fresh(),
    close,
  };
  await removeOldSessions(store, replica.id);
  return store;
}

/** An earlier run of this replica cannot hold a session any more: its sessions go now and not when its lease expires. */
async function removeOldSessions(store: Store, replica: string): Promise<void> {
  const old: Key[] = [...store.snapshot().sessions.values()]
    .filter((session) => session.replica === replica)
    .map((session) => ({ kind: 'session', id: session.node }));
  for (let start = 0; start < old.length; start += 100) {
    const keys = old.slice(start, start + 100);
    await store.commit({ absent: [], unchanged: keys, put: [], delete: keys });
  }
}
