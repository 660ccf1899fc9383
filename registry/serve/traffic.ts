// Every NHRP message that this replica receives and sends passes here once: it is counted, traced and shown to who follows.
import type { Clock } from '#proto/kit/clock.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { NodeId } from '#proto/model/names.ts';
import { type NhrpMessage, summaryOf } from '#proto/model/nhrp.ts';
import { type Direction, NhrpCounter, type NhrpCounters } from '#proto/model/nhrp-counters.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { Follower, type FollowerPipe, type Sighting } from './follower.ts';

/** The other end of a message: a node, or a tool of an operator without an id. */
export interface Correspondent {
  readonly id: NodeId | undefined;
  readonly name: string;
}

const mostFollowers = 16;

export class Traffic {
  readonly since: Timestamp;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #followers = new Set<Follower>();
  readonly #total = new NhrpCounter();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
    this.since = clock.date();
  }

  /** Of all nodes and tools, since this replica started. */
  get total(): NhrpCounters {
    return this.#total.read();
  }

  note(direction: Direction, other: Correspondent, message: NhrpMessage): void {
    this.#total.add(direction, message);
    if (this.#log.isLevelEnabled('trace'))
      this.#log.trace({ node: other.id ?? other.name, message: summaryOf(message) }, direction);
    if (this.#followers.size === 0) return;
    const sighting: Sighting = {
      time: this.#clock.date(),
      direction,
      node: other.name,
      message: withoutContents(message),
    };
    for (const follower of this.#followers) follower.offer(other.id, sighting);
  }

  /** Shows what comes from now on, of one node or of all. Faults: too-many. */
  follow(node: NodeId | undefined, pipe: FollowerPipe): Result<Follower> {
    if (this.#followers.size >= mostFollowers) {
      return fail('too-many', `${String(mostFollowers)} others follow messages here already: end one of them`);
    }
    const follower = new Follower(node, pipe, () => this.#followers.delete(follower));
    this.#followers.add(follower);
    return ok(follower);
  }

  /** Ends all followers. */
  stop(): void {
    for (const follower of [...this.#followers]) follower.end();
  }
}

/** Packets of users, and what an authentication extension may hold, are nobody's business. */
function withoutContents(message: NhrpMessage): NhrpMessage {
  const nothing = new Uint8Array();
  const extensions = message.extensions.map((extension) => ({ ...extension, value: nothing }));
  const { body } = message;
  return { ...message, extensions, body: 'contents' in body ? { ...body, contents: nothing } : body };
}
