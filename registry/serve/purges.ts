import { containsPrefix, type Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { after, type Instant, milliseconds } from '#proto/model/time.ts';
import { everything, purgeRequest } from '#registry/decide/purge.ts';
import type { RegistryContext } from './context.ts';
import { serverNamed } from './servers.ts';

interface Purge {
  readonly asker: NodeId;
  readonly requestId: number;
  readonly until: Instant;
  /** Counts all that was told and purged: what was told later is not undone by this. */
  readonly order: number;
  prefixes: readonly Prefix[];
  wait: number;
  next: Instant;
}

const firstWait = 1000;
const longestWait = 60_000;
/** Well below what one message may carry. */
const mostClasses = 500;
/** That one node did not acknowledge: with more it is told to forget everything. */
const mostPending = 64;

/** Hands a message to the session of a node here, if it has one. */
export type Deliver = (node: NodeId, message: NhrpMessage) => unknown;

/** What a node acknowledged to have forgotten. */
export type Acknowledged = Pick<Purge, 'order' | 'prefixes'>;

/** Purge requests to sessions of this replica (RFC 2332 5.2.5): repeated after 1, 2, 4 s ... until acknowledged or pointless. */
export class Purges {
  readonly #context: Pick<RegistryContext, 'store' | 'clock' | 'self'>;
  readonly #deliver: Deliver;
  readonly #pending = new Map<NodeId, Map<number, Purge>>();
  #nextId = Math.floor(Math.random() * 0x7fff_ffff);
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;

  constructor(context: Pick<RegistryContext, 'store' | 'clock' | 'self'>, deliver: Deliver) {
    this.#context = context;
    this.#deliver = deliver;
  }

  /** Makes a node forget; `until`: when it forgets by itself. */
  add(asker: NodeId, prefixes: readonly Prefix[], until: Instant, order: number): void {
    const own = this.#pending.get(asker) ?? new Map<number, Purge>();
    this.#pending.set(asker, own);
    let classes = prefixes;
    if (own.size + prefixes.length / mostClasses > mostPending) {
      own.clear();
      classes = everything;
    }
    const next = this.#context.clock.now();
    for (let start = 0; start < classes.length; start += mostClasses) {
      const requestId = (this.#nextId = (this.#nextId + 1) >>> 0);
      const part = classes.slice(start, start + mostClasses);
      own.set(requestId, { asker, requestId, until, order, prefixes: part, wait: firstWait, next });
    }
    this.#sendSoon();
  }

  /** Undefined: that request is not known, or is acknowledged already. */
  acknowledge(asker: NodeId, requestId: number): Acknowledged | undefined {
    const own = this.#pending.get(asker);
    const purge = own?.get(requestId);
    own?.delete(requestId);
    if (own?.size === 0) this.#pending.delete(asker);
    return purge;
  }

  /** What was just told anew must not be purged by a repetition. */
  spare(asker: NodeId, prefix: Prefix): void {
    for (const purge of this.#pending.get(asker)?.values() ?? []) {
      if (purge.prefixes.includes(prefix)) purge.prefixes = purge.prefixes.filter((one) => one !== prefix);
    }
  }

  /** The session is over: the replica of the next one finds out what the node has to forget. */
  forget(asker: NodeId): void {
    this.#pending.delete(asker);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
  }

  /** Many that are added together are gone through once. */
  #sendSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.repeat();
    });
  }

  /** Sends what is due; its own timer calls it, too. */
  repeat(): void {
    const now = this.#context.clock.now();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let next = Infinity;
    for (const own of this.#pending.values()) {
      for (const purge of own.values()) {
        this.#sendOne(purge, now);
        next = Math.min(next, purge.next);
      }
    }
    if (!Number.isFinite(next)) return;
    const wait = Math.max(10, next - now);
    this.#timer = setTimeout(() => {
      this.repeat();
    }, wait).unref();
  }

  #sendOne(purge: Purge, now: Instant): void {
    const { asker, requestId, prefixes } = purge;
    const node = this.#context.store.snapshot().nodes.get(asker);
    if (!node || purge.until <= now || prefixes.length === 0) {
      this.acknowledge(asker, requestId);
      return;
    }
    if (purge.next > now) return;
    purge.next = after(now, milliseconds(purge.wait));
    purge.wait = Math.min(purge.wait * 2, longestWait);
    this.#deliver(asker, purgeRequest(node, prefixes, requestId, serverNamed(this.#context)));
  }
}

/** Whether an acknowledged purge is about what was told. */
export function covers(
  { order, prefixes }: Acknowledged,
  told: { readonly prefix: Prefix; readonly order: number },
): boolean {
  return told.order <= order && prefixes.some((one) => containsPrefix(one, told.prefix));
}
