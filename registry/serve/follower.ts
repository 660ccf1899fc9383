import type { NodeId } from '#proto/model/names.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import type { Direction } from '#proto/model/nhrp-counters.ts';
import type { Timestamp } from '#proto/model/time.ts';

/** One message as it passed. */
export interface Sighting {
  readonly time: Timestamp;
  readonly direction: Direction;
  readonly node: string;
  readonly message: NhrpMessage;
}

/** The way to who follows: a gRPC stream, or a list in a test. */
export interface FollowerPipe {
  /** `dropped` messages before this one are lost. False: it is full, and `drained` is called when it no longer is. */
  write(sighting: Sighting, dropped: number): boolean;
  end(): void;
}

/** What waits for a slow reader. More is dropped and told: the registry does not wait, nor does it grow. */
export const mostWaiting = 1024;

/** Someone who looks at the messages of one node, or of all. */
export class Follower {
  readonly #node: NodeId | undefined;
  readonly #pipe: FollowerPipe;
  readonly #onEnd: () => void;
  #waiting: { readonly sighting: Sighting; readonly dropped: number }[] = [];
  #dropped = 0;
  #blocked = false;
  #ended = false;

  constructor(node: NodeId | undefined, pipe: FollowerPipe, onEnd: () => void) {
    this.#node = node;
    this.#pipe = pipe;
    this.#onEnd = onEnd;
  }

  offer(node: NodeId | undefined, sighting: Sighting): void {
    if (this.#ended || (this.#node !== undefined && node !== this.#node)) return;
    if (this.#waiting.length >= mostWaiting) {
      this.#dropped++;
      return;
    }
    const dropped = this.#dropped;
    this.#dropped = 0;
    if (this.#blocked) this.#waiting.push({ sighting, dropped });
    else this.#blocked = !this.#pipe.write(sighting, dropped);
  }

  /** The pipe is free again. */
  drained(): void {
    this.#blocked = false;
    let written = 0;
    while (!this.#blocked && !this.#ended) {
      const next = this.#waiting[written];
      if (!next) break;
      written++;
      this.#blocked = !this.#pipe.write(next.sighting, next.dropped);
    }
    this.#waiting = this.#waiting.slice(written);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#waiting = [];
    this.#onEnd();
    this.#pipe.end();
  }
}
