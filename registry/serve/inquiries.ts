import { decodeNhrp, encodeNhrp } from '#proto/codec/nhrp.ts';
import type { ResolveRequest, ResolveResponse } from '#proto/gen/dmwg/v1/nhrp.ts';
import type { NodeId } from '#proto/model/names.ts';
import { errorCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { NodeRecord } from '#registry/decide/records.ts';
import { errorAbout } from '#registry/decide/reply.ts';
import { resolve } from '#registry/decide/resolve.ts';
import { Bucket, type Rate } from './bucket.ts';
import type { Caller } from './caller.ts';
import type { Complaints } from './complaints.ts';
import type { RegistryContext } from './context.ts';
import { serverNamed } from './servers.ts';

/** Of one node; administrators ask as they like. */
export const inquiryRate: Rate = { perSecond: 20, burst: 100 };
/** Nodes whose rate is known; the oldest go. */
const mostNodes = 10_000;

/** Resolutions without a session, for tools: nobody is told to start a tunnel. */
export class Inquiries {
  readonly #context: Pick<RegistryContext, 'store' | 'clock' | 'traffic' | 'self'>;
  readonly #complaints: Complaints;
  readonly #buckets = new Map<NodeId, Bucket>();

  constructor(context: Pick<RegistryContext, 'store' | 'clock' | 'traffic' | 'self'>, complaints: Complaints) {
    this.#context = context;
    this.#complaints = complaints;
  }

  /** Faults: bad-request and those of the codec for what is no NHRP message, too-many. */
  answer(request: ResolveRequest, caller: Caller): Result<ResolveResponse> {
    const node = caller.kind === 'node' ? caller.node : undefined;
    if (node && !this.#mayAsk(node)) {
      this.#complaints.dropped(node.name, 'too many resolutions');
      return fail('too-many', 'too many resolutions: ask less often');
    }
    if (!request.message) return fail('bad-request', 'message: is required');
    const message = decodeNhrp(request.message);
    const other = node ?? { id: undefined, name: caller.kind };
    if (!message.ok) {
      this.#complaints.dropped(other.name, `an unreadable message: ${message.fault.code}`);
      return message;
    }
    this.#context.traffic.note('received', other, message.value);
    const reply = this.#reply(message.value, node);
    this.#complaints.about(other.name, reply);
    this.#context.traffic.note('sent', other, reply);
    return ok({ message: encodeNhrp(reply) });
  }

  #mayAsk(node: NodeRecord): boolean {
    const now = this.#context.clock.now();
    const bucket = this.#buckets.get(node.id) ?? new Bucket(inquiryRate, now);
    this.#buckets.delete(node.id);
    this.#buckets.set(node.id, bucket);
    const oldest = this.#buckets.keys().next().value;
    if (this.#buckets.size > mostNodes && oldest !== undefined) this.#buckets.delete(oldest);
    if (bucket.wait(now) > 0) return false;
    bucket.take(now);
    return true;
  }

  #reply(message: NhrpMessage, sender: NodeRecord | undefined): NhrpMessage {
    const { store, clock } = this.#context;
    const server = serverNamed(this.#context);
    const { body } = message;
    if (body.type !== 'resolution-request') return errorAbout(message, errorCode.protocolError, { server, sender });
    const context = { now: clock.held(), askerRtt: undefined, targetRtt: undefined, server };
    return resolve(store.snapshot(), sender, { ...message, body }, context).reply;
  }
}
