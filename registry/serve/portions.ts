/** Milliseconds of work in one turn of the loop. */
const longest = 10;

/**
 * Work that may come in a burst, done in portions, in order: between two of them the loop reads its sockets, keeps its timers and
 * lets connections in.
 */
export class Portions {
  readonly #now: () => number;
  #waiting: (() => void)[] = [];
  /** When the work of this turn began. */
  #begun: number | undefined;
  #next: NodeJS.Immediate | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** At once if this turn has time for it and nothing waits. */
  run(work: () => void): void {
    this.#next ??= setImmediate(this.#turn.bind(this));
    if (this.#waiting.length > 0 || !this.#hasTime()) this.#waiting.push(work);
    else work();
  }

  #turn(): void {
    this.#next = undefined;
    this.#begun = undefined;
    let done = 0;
    while (done < this.#waiting.length && this.#hasTime()) this.#waiting[done++]?.();
    this.#waiting = done < this.#waiting.length ? this.#waiting.slice(done) : [];
    this.#begun = undefined;
    if (this.#waiting.length > 0) this.#next ??= setImmediate(this.#turn.bind(this));
  }

  #hasTime(): boolean {
    this.#begun ??= this.#now();
    return this.#now() - this.#begun < longest;
  }
}
