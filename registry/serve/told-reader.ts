import type { Logger } from '#proto/kit/log.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { ToldRecord } from '#registry/decide/told.ts';
import type { ToldStore } from '#registry/store/port.ts';

/** Nodes that are read of at once: all may come back together. */
const mostReading = 16;
/** Milliseconds between attempts while the store is away. */
const tryAgainAfter = 1000;

export interface ReaderParts {
  readonly told: ToldStore;
  readonly log: Logger;
  /** Not called for a node that was dropped meanwhile. */
  readonly found: (asker: NodeId, records: readonly ToldRecord[]) => void;
}

/** Reads what nodes were told, when their sessions begin; while the store is away, as soon as it is back. */
export class ToldReader {
  readonly #parts: ReaderParts;
  readonly #wanted = new Set<NodeId>();
  readonly #reading = new Set<NodeId>();
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  want(asker: NodeId): void {
    this.#wanted.add(asker);
    this.#next();
  }

  drop(asker: NodeId): void {
    this.#wanted.delete(asker);
  }

  stop(): void {
    clearTimeout(this.#retry);
    this.#wanted.clear();
  }

  #next(): void {
    if (this.#retry) return;
    for (const asker of this.#wanted) {
      if (this.#reading.size >= mostReading) return;
      if (this.#reading.has(asker)) continue;
      this.#reading.add(asker);
      void this.#read(asker).finally(() => {
        this.#reading.delete(asker);
        this.#next();
      });
    }
  }

  async #read(asker: NodeId): Promise<void> {
    const { told, log, found } = this.#parts;
    const records = await told.read(asker);
    if (records.ok) {
      if (this.#wanted.delete(asker)) found(asker, records.value);
      return;
    }
    log.debug({ node: asker, fault: records.fault.code }, 'what the node was told cannot be read yet');
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#next();
    }, tryAgainAfter).unref();
  }
}
