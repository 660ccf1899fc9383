import type { Prefix } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { after, type Instant, milliseconds } from '#proto/model/time.ts';
import { everything, purgeRequest } from '#registry/decide/purge.ts';
import type { RegistryContext } from './context.ts';
import type { Delivery } from './sessions.ts';

interface Purge {
  readonly asker: NodeId;
  readonly requestId: number;
  readonly until: Instant;
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

/** Hands a message to a node. "elsewhere": the replica that has its session sees to the acknowledgement. */
export type Deliver = (node: NodeId, message: NhrpMessage) => Promise<Delivery>;

/** Purge requests on their way (RFC 2332 5.2.5): repeated after 1, 2, 4 s ... until acknowledged or pointless. */
export class Purges {
  readonly #context: Pick<RegistryContext, 'store' | 'clock' | 'log'>;
  readonly #deliver: Deliver;
  readonly #pending = new Map<NodeId, Map<number, Purge>>();
  #nextId = Math.floor(Math.random() * 0x7fff_ffff);
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;

  constructor(context: Pick<RegistryContext, 'store' | 'clock' | 'log'>, deliver: Deliver) {
    this.#context = context;
    this.#deliver = deliver;
  }

  /** Makes a node forget; `until`: when it forgets by itself. */
  add(asker: NodeId, prefixes: readonly Prefix[], until: Instant): void {
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
      own.set(requestId, { asker, requestId, until, prefixes: part, wait: firstWait, next });
    }
    this.#sendSoon();
  }

  acknowledge(asker: NodeId, requestId: number): void {
    const own = this.#pending.get(asker);
    if (own?.delete(requestId) === true && own.size === 0) this.#pending.delete(asker);
  }

  /** What was just told anew must not be purged by a repetition. */
  spare(asker: NodeId, prefix: Prefix): void {
    for (const purge of this.#pending.get(asker)?.values() ?? []) {
      if (purge.prefixes.includes(prefix)) purge.prefixes = purge.prefixes.filter((one) => one !== prefix);
    }
  }

  /** The node is back: what it missed goes out now. */
  resume(asker: NodeId): void {
    const now = this.#context.clock.now();
    for (const purge of this.#pending.get(asker)?.values() ?? []) Object.assign(purge, { next: now, wait: firstWait });
    this.#sendSoon();
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
  }

  /** Many that are added together are gone through once. */
  #sendSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#send();
    });
  }

  #send(): void {
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
      this.#send();
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
    void this.#deliver(asker, purgeRequest(node, prefixes, requestId)).then((outcome) => {
      if (outcome === 'elsewhere') this.acknowledge(asker, requestId);
      else if (outcome === 'nowhere') this.#context.log.debug({ node: node.name }, 'purge waits for the session');
    });
  }
}
