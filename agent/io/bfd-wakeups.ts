export interface Sleeper {
  /** When it is due; Infinity = never. Only the queue writes it. */
  wakeAt: number;
  /** Its place in the queue; -1 = not in it. Only the queue writes it. */
  slot: number;
}

/** A binary heap whose items know their places, so that moving one costs O(log n): thousands of sessions, one timer. */
export class Wakeups<T extends Sleeper> {
  readonly #heap: T[] = [];

  /** The item that is due first. */
  first(): T | undefined {
    return this.#heap[0];
  }

  set(item: T, wakeAt: number): void {
    item.wakeAt = wakeAt;
    if (item.slot < 0) {
      item.slot = this.#heap.length;
      this.#heap.push(item);
    }
    this.#settle(item);
  }

  remove(item: T): void {
    if (item.slot < 0) return;
    const slot = item.slot;
    item.slot = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === item) return;
    this.#put(last, slot);
    this.#settle(last);
  }

  #settle(item: T): void {
    for (;;) {
      const parent = this.#heap[(item.slot - 1) >> 1];
      if (item.slot === 0 || parent === undefined || parent.wakeAt <= item.wakeAt) break;
      this.#swap(item, parent);
    }
    for (;;) {
      const left = this.#heap[item.slot * 2 + 1];
      const right = this.#heap[item.slot * 2 + 2];
      const child = left !== undefined && right !== undefined && right.wakeAt < left.wakeAt ? right : left;
      if (child === undefined || child.wakeAt >= item.wakeAt) break;
      this.#swap(item, child);
    }
  }

  #swap(a: T, b: T): void {
    const slot = a.slot;
    this.#put(a, b.slot);
    this.#put(b, slot);
  }

  #put(item: T, slot: number): void {
    item.slot = slot;
    this.#heap[slot] = item;
  }
}
