// Two BFD machines and a link between them, in virtual time. What happens is written down as lines of a story.
import { bfdAdminDown, bfdConfigure, bfdKick, bfdReceive, bfdStart, type BfdStep, bfdTick } from '#agent/decide/bfd.ts';
import { type BfdPacket, decodeBfdPacket, encodeBfdPacket } from '#agent/decide/bfd-packet.ts';
import type { BfdParameters, BfdSession } from '#agent/decide/bfd-session.ts';
import { must } from '#proto/model/result.ts';
import type { Instant, Milliseconds } from '#proto/model/time.ts';

export type End = 'a' | 'b';

export interface LinkOptions {
  /** One way, in milliseconds. */
  readonly delay: number;
  /** [0, 1). */
  readonly random: () => number;
}

interface Arrival {
  readonly at: number;
  readonly to: End;
  readonly bytes: Uint8Array;
}

export function bfdParameters(
  interval: number,
  multiplier = 3,
  role: BfdParameters['role'] = 'active',
  requiredMinRx = interval,
): BfdParameters {
  return {
    desiredMinTx: interval as Milliseconds,
    requiredMinRx: requiredMinRx as Milliseconds,
    multiplier,
    role,
  };
}

export class BfdLink {
  now = 0;
  readonly story: string[] = [];
  readonly sent: { readonly at: number; readonly by: End; readonly packet: BfdPacket }[] = [];
  /** Chance of loss in each direction, by sender; 1 = cut. */
  readonly loss: Record<End, number> = { a: 0, b: 0 };
  readonly #options: LinkOptions;
  readonly #steps = new Map<End, BfdStep>();
  #arrivals: Arrival[] = [];
  #discriminator = 1;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  start(end: End, parameters: BfdParameters): void {
    this.#take(end, bfdStart(parameters, this.#instant(), this.#discriminator++, this.#options.random()));
  }

  /** As kill -9: nothing is sent any more. */
  kill(end: End): void {
    this.#steps.delete(end);
  }

  configure(end: End, parameters: BfdParameters): void {
    this.#take(end, bfdConfigure(this.session(end), parameters));
  }

  kick(end: End): void {
    this.#take(end, bfdKick(this.session(end), this.#instant(), this.#options.random()));
  }

  adminDown(end: End): void {
    this.#take(end, bfdAdminDown(this.session(end), this.#instant(), this.#options.random()));
  }

  cut(): void {
    this.loss.a = 1;
    this.loss.b = 1;
  }

  heal(): void {
    this.loss.a = 0;
    this.loss.b = 0;
  }

  session(end: End): BfdSession {
    const step = this.#steps.get(end);
    if (!step) throw new Error(`${end} is not started`);
    return step.session;
  }

  wakeAt(end: End): number {
    return this.#steps.get(end)?.wakeAt ?? Infinity;
  }

  /** Runs for `span` milliseconds, and calls `check` after every event. */
  run(span: number, check: () => void = () => undefined): void {
    const until = this.now + span;
    for (;;) {
      const arrival = this.#arrivals.reduce<Arrival | undefined>((a, b) => (a && a.at <= b.at ? a : b), undefined);
      const waker = this.wakeAt('a') <= this.wakeAt('b') ? 'a' : 'b';
      const next = Math.min(arrival?.at ?? Infinity, this.wakeAt(waker));
      if (next > until) break;
      this.now = Math.max(this.now, next);
      if (arrival && arrival.at <= next) {
        this.#arrivals = this.#arrivals.filter((other) => other !== arrival);
        this.#receive(arrival);
      } else {
        this.#take(waker, bfdTick(this.session(waker), this.#instant(), this.#options.random()));
      }
      check();
    }
    this.now = until;
  }

  #receive({ to, bytes }: Arrival): void {
    const step = this.#steps.get(to);
    if (!step) return;
    const packet = must(decodeBfdPacket(bytes));
    this.#take(to, bfdReceive(step.session, packet, this.#instant(), this.#options.random()));
  }

  #take(end: End, step: BfdStep): void {
    this.#steps.set(end, step);
    const { transition } = step;
    if (transition) {
      this.story.push(
        `${this.now.toFixed(0)} ${end} ${transition.from} -> ${transition.to} (${transition.diagnostic})`,
      );
    }
    for (const packet of step.send) {
      this.sent.push({ at: this.now, by: end, packet });
      if (this.#options.random() < this.loss[end]) continue;
      this.#arrivals.push({
        at: this.now + this.#options.delay,
        to: end === 'a' ? 'b' : 'a',
        bytes: encodeBfdPacket(packet),
      });
    }
  }

  #instant(): Instant {
    return this.now as Instant;
  }
}
