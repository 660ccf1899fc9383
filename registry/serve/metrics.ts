import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { NhrpMessage } from '#proto/model/nhrp.ts';

/** Counters as in RFC 2677: messages received and sent by type, refusals by code. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #messages = new Counter({
    name: 'dmwg_registry_nhrp_messages_total',
    help: 'NHRP messages by direction and type',
    labelNames: ['direction', 'type'] as const,
    registers: [this.#registry],
  });
  readonly #refusals = new Counter({
    name: 'dmwg_registry_nhrp_naks_total',
    help: 'CIEs sent with a code other than 0, by message type and code',
    labelNames: ['type', 'code'] as const,
    registers: [this.#registry],
  });

  constructor(gauges: Readonly<Record<string, { readonly help: string; readonly read: () => number }>>) {
    collectDefaultMetrics({ register: this.#registry });
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

  received(message: NhrpMessage): void {
    this.#messages.inc({ direction: 'received', type: message.body.type });
  }

  sent(message: NhrpMessage): void {
    this.#messages.inc({ direction: 'sent', type: message.body.type });
    if (!('cies' in message.body)) return;
    for (const { code } of message.body.cies) {
      if (code !== 0) this.#refusals.inc({ type: message.body.type, code: String(code) });
    }
  }

  async text(): Promise<{ readonly type: string; readonly body: string }> {
    return { type: this.#registry.contentType, body: await this.#registry.metrics() };
  }
}
