import type { NodeId } from '#proto/model/names.ts';
import { fail, type Result } from '#proto/model/result.ts';
import type { Caller } from './caller.ts';
import { Turnstile } from './commit.ts';

/** Questions of one node that wait. */
const mostWaiting = 8;

interface Line {
  readonly turns: Turnstile;
  length: number;
}

/** Answers one question of a node at a time, and others' in between: what is long to tell holds up nobody else. */
export class OneEach {
  readonly #lines = new Map<NodeId, Line>();

  /** Faults: too-many, and those of `answer`. Administrators do not wait. */
  async pass<A>(caller: Caller, answer: () => Result<A>): Promise<Result<A>> {
    if (caller.kind !== 'node') return answer();
    const { id } = caller.node;
    const line = this.#lines.get(id) ?? { turns: new Turnstile(), length: 0 };
    if (line.length >= mostWaiting) return fail('too-many', 'too many questions at once: wait for the answers');
    this.#lines.set(id, line);
    line.length++;
    return line.turns.pass(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      try {
        return answer();
      } finally {
        line.length--;
        if (line.length === 0) this.#lines.delete(id);
      }
    });
  }
}
