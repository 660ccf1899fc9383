// What nodes were told, in etcd: a key for each pair of nodes, sorted by who was told, so that one range has all that a node
// holds. The keys go with leases that nobody keeps alive: one for all that is told within ten minutes.
import type { Clock } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import { type NodeId, parseNodeId } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { after, milliseconds, type Timestamp } from '#proto/model/time.ts';
import type { ToldRecord } from '#registry/decide/told.ts';
import { type Entry, type Etcd, EtcdError } from './etcd-port.ts';
import { toldRoot } from './keys.ts';
import type { ToldStore } from './port.ts';
import { toldSchema } from './record-schema.ts';
import { retry } from './retry.ts';

/** Milliseconds by which a lease outlives what it was first granted for: later records fit in. */
const leaseMargin = 600_000;
/** Milliseconds for one call with its repetitions. */
const callWithin = 3000;

export interface ToldOptions {
  readonly etcd: Etcd;
  readonly overlay: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Lease {
  readonly id: string;
  readonly until: Timestamp;
}

export class ToldKeys implements ToldStore {
  readonly #options: ToldOptions;
  readonly #root: string;
  #lease: Lease | undefined;

  constructor(options: ToldOptions) {
    this.#options = options;
    this.#root = toldRoot(options.overlay);
  }

  async read(asker: NodeId): Promise<Result<ToldRecord[]>> {
    return this.#attempt(async () => {
      const { entries } = await this.#options.etcd.list(`${this.#root}${asker}/`);
      return entries.map((entry) => this.#decode(asker, entry)).filter((one) => one !== undefined);
    });
  }

  async write(records: readonly ToldRecord[]): Promise<Result<void>> {
    const kept = records.filter(({ answers }) => answers.length > 0);
    const latest = Math.max(0, ...kept.flatMap(({ answers }) => answers.map(({ until }) => until))) as Timestamp;
    return this.#attempt(async () => {
      const lease = kept.length > 0 ? await this.#leaseUntil(latest) : undefined;
      try {
        await this.#options.etcd.transact({
          compare: [],
          put: kept.map((record) => ({ key: this.#key(record), value: encode(record), lease })),
          delete: records.filter(({ answers }) => answers.length === 0).map((record) => this.#key(record)),
        });
      } catch (error) {
        if (!(error instanceof EtcdError) || error.kind !== 'no-lease') throw error;
        this.#lease = undefined;
        throw new EtcdError('transient', error.message);
      }
    });
  }

  async #attempt<T>(call: () => Promise<T>): Promise<Result<T>> {
    const { clock } = this.#options;
    try {
      return ok(await retry(clock, after(clock.now(), milliseconds(callWithin)), call));
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      return fail(error.kind === 'refused' ? 'refused' : 'unavailable', `etcd: ${errorText(error)}`);
    }
  }

  async #leaseUntil(until: Timestamp): Promise<string> {
    const { etcd, clock } = this.#options;
    if (this.#lease && this.#lease.until >= until) return this.#lease.id;
    const now = clock.date();
    const span = Math.max(0, until - now) + leaseMargin;
    const id = await etcd.grantLease(Math.ceil(span / 1000));
    this.#lease = { id, until: (now + span) as Timestamp };
    return id;
  }

  #key({ asker, about }: ToldRecord): string {
    return `${this.#root}${asker}/${about}`;
  }

  #decode(asker: NodeId, { key, value }: Entry): ToldRecord | undefined {
    const about = parseNodeId(key.slice(key.lastIndexOf('/') + 1));
    const record = toldSchema.safeParse(parseJson(value));
    if (!about.ok || !record.success) {
      this.#options.logger.error({ key }, 'a record of what a node was told cannot be read and is ignored');
      return undefined;
    }
    const answers = record.data.answers.map(([prefix, mark, revision, until]) => ({ prefix, mark, revision, until }));
    return { asker, about: about.value, answers };
  }
}

/** What is left of a stored record at `now`, as if told before all orders to clear; undefined: nothing, or it cannot be read. */
export function withoutRevision(value: string, now: Timestamp): string | undefined {
  const record = toldSchema.safeParse(parseJson(value));
  const answers = (record.data?.answers ?? []).filter(([, , , until]) => until > now);
  if (answers.length === 0) return undefined;
  return encode({ answers: answers.map(([prefix, mark, , until]) => ({ prefix, mark, revision: 0, until })) });
}

function encode({ answers }: Pick<ToldRecord, 'answers'>): string {
  return JSON.stringify({
    v: 1,
    answers: answers.map(({ prefix, mark, revision, until }) => [prefix, mark, revision, until]),
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
