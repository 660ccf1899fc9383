import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { Direction, NhrpCounters } from '#proto/model/nhrp-counters.ts';

const directions: readonly Direction[] = ['received', 'sent'];

/** What /metrics says. Counters as in RFC 2677: messages by direction and type, refusals and error indications by code. */
export class Metrics {
  readonly #registry = new Registry();

  constructor(
    counters: () => NhrpCounters,
    gauges: Readonly<Record<string, { readonly help: string; readonly read: () => number }>>,
  ) {
    collectDefaultMetrics({ register: this.#registry });
    this.#count('nhrp_messages_total', 'NHRP messages by direction and type', ['direction', 'type'], () =>
      directions.flatMap((direction) =>
        Object.entries(counters()[direction].messages).map(([type, count]) => [{ direction, type }, count]),
      ),
    );
    this.#count(
      'nhrp_naks_total',
      'NHRP replies that refuse, by direction, type and code',
      ['direction', 'type', 'code'],
      () =>
        directions.flatMap((direction) =>
          Object.entries(counters()[direction].naks).flatMap(([type, codes]) =>
            Object.entries(codes).map(([code, count]): Sample => [{ direction, type, code }, count]),
          ),
        ),
    );
    this.#count('nhrp_errors_total', 'NHRP error indications by direction and code', ['direction', 'code'], () =>
      directions.flatMap((direction) =>
        Object.entries(counters()[direction].errors).map(([code, count]) => [{ direction, code }, count]),
      ),
    );
    for (const [name, { help, read }] of Object.entries(gauges)) {
      new Gauge({
        name: `dmwg_registry_${name}`,
        help,
        registers: [this.#registry],
        collect() {
          this.set(read());
        },
      });
    }
  }

  /** A counter that is kept elsewhere. */
  #count(name: string, help: string, labelNames: readonly string[], read: () => readonly Sample[]): void {
    new Counter({
      name: `dmwg_registry_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, count] of read()) this.inc(labels, count);
      },
    });
  }

  async text(): Promise<{ readonly type: string; readonly body: string }> {
    return { type: this.#registry.contentType, body: await this.#registry.metrics() };
  }
}

type Sample = readonly [labels: Readonly<Record<string, string>>, count: number];
