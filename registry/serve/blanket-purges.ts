import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { after, type Instant, milliseconds, seconds, type Timestamp, toMilliseconds } from '#proto/model/time.ts';
import type { RevocationRecord } from '#registry/decide/records.ts';
import { ledTo } from '#registry/decide/removal.ts';
import type { RegistryContext } from './context.ts';

/** Milliseconds, the longest holding time: what was told before is forgotten. */
const longestHolding = toMilliseconds(seconds(65_535));

export interface BlanketParts {
  readonly context: Pick<RegistryContext, 'store' | 'clock'>;
  /** The nodes with a session here. */
  readonly sessions: Pick<ReadonlyMap<NodeId, unknown>, 'keys'>;
  readonly purge: (node: NodeId, classes: readonly Prefix[], until: Instant) => void;
}

/**
 * What every node is to forget, whatever it was told: all that led to a node that is shut out, also those that come later; and what the
 * operator had cleared (who is away then, by what it was told).
 */
export class BlanketPurges {
  readonly #parts: BlanketParts;
  /** Revocations that somebody may not have heard of. */
  readonly #revoked = new Map<NodeId, RevocationRecord>();
  /** The operator's orders that are known here. */
  #cleared: ReadonlySet<string>;

  constructor(parts: BlanketParts) {
    this.#parts = parts;
    const { clears } = parts.context.store.snapshot();
    this.#cleared = new Set(clears.keys());
    this.purgeRevoked();
  }

  purgeRevoked(): void {
    const { context, sessions, purge } = this.#parts;
    const now = context.clock.date();
    this.#forgetRevoked(now);
    const news: Prefix[] = [];
    for (const record of context.store.snapshot().revoked.values()) {
      if (isOver(record, now) || this.#revoked.has(record.node)) continue;
      this.#revoked.set(record.node, record);
      news.push(...ledTo(record));
    }
    if (news.length > 0) for (const node of sessions.keys()) purge(node, news, this.#in(longestHolding));
  }

  purgeCleared(): void {
    const { context, sessions, purge } = this.#parts;
    const { clears } = context.store.snapshot();
    const news = [...clears.values()].filter(({ id }) => !this.#cleared.has(id));
    this.#cleared = new Set(clears.keys());
    for (const { classes, until } of news) {
      const left = Math.max(0, until - context.clock.date());
      for (const node of sessions.keys()) purge(node, classes, this.#in(left));
    }
  }

  /** The node has a session here. */
  resume(node: NodeId): void {
    const { context, purge } = this.#parts;
    this.#forgetRevoked(context.clock.date());
    const prefixes = [...this.#revoked.values()].flatMap(ledTo);
    if (prefixes.length > 0) purge(node, prefixes, this.#in(longestHolding));
  }

  #forgetRevoked(now: Timestamp): void {
    const { revoked } = this.#parts.context.store.snapshot();
    for (const [node, record] of this.#revoked) {
      if (isOver(record, now) || !revoked.has(node)) this.#revoked.delete(node);
    }
  }

  #in(span: number): Instant {
    return after(this.#parts.context.clock.now(), milliseconds(span));
  }
}

function isOver(record: RevocationRecord, now: Timestamp): boolean {
  return record.at + longestHolding < now;
}
