import { pause } from '#proto/kit/clock.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { ToldRecord } from '#registry/decide/told.ts';
import type { ToldStore } from '#registry/store/port.ts';

/** Milliseconds in which answers gather, and between attempts while the store is away. */
const gatherFor = 20;
const tryAgainAfter = 1000;
/** Records, and answers in them, in one transaction: below etcd's 128 operations and 1.5 MiB. */
const mostRecords = 100;
const mostAnswers = 4000;
/** Nodes of which something waits. What is lost beyond costs what a registry without memory would cost. */
const mostAskers = 20_000;

export interface WriterParts<R extends ToldRecord> {
  readonly told: ToldStore;
  readonly log: Logger;
  /** What is in memory. */
  readonly read: (asker: NodeId, about: NodeId) => R;
  readonly written: (record: R) => void;
}

/** Writes behind the answers, which never wait for it: the newest state of each record, one transaction after the other. */
export class ToldWriter<R extends ToldRecord> {
  readonly #parts: WriterParts<R>;
  /** By asker and by whom it is about: as it is to be written, or undefined: as it is in memory then. */
  readonly #due = new Map<NodeId, Map<NodeId, R | undefined>>();
  /** Of which the memory is not complete yet. */
  readonly #held = new Set<NodeId>();
  readonly #stop = new AbortController();
  /** Records under way. */
  #writing = 0;
  #running: Promise<void> | undefined;

  constructor(parts: WriterParts<R>) {
    this.#parts = parts;
  }

  /** 0: the store has everything. */
  get waiting(): number {
    return this.#due.size + this.#writing;
  }

  /** The record in memory differs from the store. */
  note(asker: NodeId, about: NodeId): void {
    this.#put(asker, about, undefined);
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  /** Until `release` nothing is written of the node. */
  hold(asker: NodeId): void {
    this.#held.add(asker);
  }

  release(asker: NodeId): void {
    this.#held.delete(asker);
    if (this.#due.has(asker) && !this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  /** What was told to the node is about to leave the memory. */
  keep(asker: NodeId): void {
    const own = this.#due.get(asker);
    for (const [about, record] of own ?? []) own?.set(about, record ?? this.#parts.read(asker, about));
  }

  /** What goes before the store's word. */
  due(asker: NodeId): ReadonlyMap<NodeId, R | undefined> {
    return this.#due.get(asker) ?? new Map<NodeId, R | undefined>();
  }

  /** After one last attempt. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let full = false; ; ) {
      if (!full) await pause(gatherFor, this.#stop.signal);
      const batch = this.#take();
      if (batch.length === 0) break;
      full = batch.length >= mostRecords;
      if (await this.#write(batch)) continue;
      if (this.#stop.signal.aborted) break;
      await pause(tryAgainAfter, this.#stop.signal);
    }
    this.#running = undefined;
  }

  #take(): R[] {
    const batch: R[] = [];
    let answers = 0;
    for (const [asker, own] of this.#due) {
      if (this.#held.has(asker)) continue;
      for (const [about, kept] of own) {
        if (batch.length >= mostRecords || answers >= mostAnswers) return batch;
        const record = kept ?? this.#parts.read(asker, about);
        batch.push(record);
        answers += record.answers.length;
        own.delete(about);
      }
      if (own.size === 0) this.#due.delete(asker);
    }
    return batch;
  }

  async #write(batch: readonly R[]): Promise<boolean> {
    const { told, log, written } = this.#parts;
    this.#writing = batch.length;
    const done = await told.write(batch);
    this.#writing = 0;
    if (done.ok) {
      for (const record of batch) written(record);
      return true;
    }
    log.debug({ fault: done.fault.code, records: batch.length }, 'what nodes were told is not written');
    if (done.fault.code === 'refused') return true;
    // What was told meanwhile is newer.
    for (const record of batch)
      if (!this.due(record.asker).has(record.about)) this.#put(record.asker, record.about, record);
    return false;
  }

  #put(asker: NodeId, about: NodeId, record: R | undefined): void {
    const own = this.#due.get(asker) ?? new Map<NodeId, R | undefined>();
    own.set(about, record);
    this.#due.set(asker, own);
    const oldest = this.#due.keys().next().value;
    if (this.#due.size > mostAskers && oldest !== undefined) this.#due.delete(oldest);
  }
}
