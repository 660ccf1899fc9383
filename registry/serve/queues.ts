import type { Logger } from '#proto/kit/log.ts';
import type { Session } from './session.ts';

/** Messages of one session that wait for the store. A node that sends more is not well. */
const mostInWork = 256;

/** What changes the store is done in order, one at a time a session. */
export class Queues {
  readonly #log: Logger;
  readonly #queues = new Map<Session, { tail: Promise<void>; length: number }>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Resolves when the work is done, or failed. */
  async add(session: Session, work: () => Promise<void>): Promise<void> {
    const queue = this.#queues.get(session) ?? { tail: Promise.resolve(), length: 0 };
    this.#queues.set(session, queue);
    if (queue.length >= mostInWork) {
      session.goodbye('protocol-error', 'too many messages at once');
      return;
    }
    queue.length++;
    queue.tail = queue.tail.then(work).then(
      () => {
        queue.length--;
      },
      (error: unknown) => {
        queue.length--;
        this.#log.error({ node: session.node, error: String(error) }, 'message failed');
      },
    );
    await queue.tail;
  }

  /** The session is over. */
  forget(session: Session): void {
    this.#queues.delete(session);
  }
}
