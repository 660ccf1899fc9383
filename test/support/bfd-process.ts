import assert from 'node:assert/strict';
import type { BfdObservation } from '#agent/io/bfd-port.ts';
import type { BfdPeerCommand } from './bfd-peer.ts';
import { type Program, start } from './lab/process.ts';
import { until } from './poll.ts';

/** What bfd-peer.ts prints. */
export interface BfdLine {
  readonly event: 'ready' | 'set' | 'transition' | 'show';
  readonly at: number;
  readonly path?: string;
  readonly from?: string;
  readonly to?: string;
  readonly diagnostic?: string;
  readonly sessions?: Readonly<Record<string, BfdObservation>>;
  readonly cpu?: { readonly user: number; readonly system: number };
}

/** One BFD shell in a process of its own, in a network namespace. */
export class BfdProcess {
  readonly namespace: string;
  #program: Program;

  constructor(namespace: string) {
    this.namespace = namespace;
    this.#program = this.#launch();
  }

  command(command: BfdPeerCommand): void {
    this.#program.child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  lines(): BfdLine[] {
    return this.#program
      .stdout()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as BfdLine);
  }

  /** The first such line from number `skip` on. */
  async line(what: Partial<BfdLine>, skip = 0): Promise<BfdLine> {
    const keys = Object.keys(what) as (keyof BfdLine)[];
    return await until(
      `${this.namespace} says ${JSON.stringify(what)}`,
      () => this.lines().find((line, index) => index >= skip && keys.every((key) => line[key] === what[key])),
      { within: 10_000, every: 5, explain: () => this.#program.stdout() + this.#program.stderr() },
    );
  }

  async show(): Promise<BfdLine> {
    const skip = this.lines().length;
    this.command({ do: 'show' });
    return await this.line({ event: 'show' }, skip);
  }

  async session(path: string): Promise<BfdObservation> {
    const observation = (await this.show()).sessions?.[path];
    assert.ok(observation);
    return observation;
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    process.kill(this.#program.pid, signal);
  }

  async kill(): Promise<void> {
    await this.#program.stop('SIGKILL');
  }

  async relaunch(): Promise<void> {
    await this.kill();
    this.#program = this.#launch();
    await this.line({ event: 'ready' });
  }

  #launch(): Program {
    return start([
      ...['ip', 'netns', 'exec', this.namespace],
      ...[process.execPath, '--import', 'tsx', 'test/support/bfd-peer.ts'],
    ]);
  }
}
