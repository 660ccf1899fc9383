import type { Clock } from '#proto/kit/clock.ts';
import type { Logger } from '#proto/kit/log.ts';
import { cieCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import { nakCode } from '#proto/model/nhrp-counters.ts';
import { after, type Instant, milliseconds } from '#proto/model/time.ts';

/** The same complaint about the same node is one line in this time. */
const quiet = milliseconds(60_000);
/** The oldest go: a node has few ways to be wrong. */
const most = 10_000;

interface Complaint {
  readonly until: Instant;
  /** Since the line. */
  repeated: number;
}

/** Says in the log which node sent what is refused: once a node and code, with how often it came meanwhile. */
export class Complaints {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #known = new Map<string, Complaint>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Takes the answer to a node: an error indication or a NAK is a complaint, anything else is none. */
  about(node: string, { body, source, destination }: NhrpMessage, detail = ''): void {
    const nak = nakCode(body);
    if (body.type === 'error-indication') this.#say(node, { error: body.code, source, destination, detail });
    else if (nak) this.#say(node, { reply: nak.type, code: nak.code, source, destination });
  }

  /** What gets no answer. */
  dropped(node: string, reason: string): void {
    this.#say(node, { dropped: reason });
  }

  #say(node: string, fields: Readonly<Record<string, unknown>>): void {
    const { error, reply, code, dropped } = fields;
    const key = [node, error, reply, code, dropped].join(' ');
    const now = this.#clock.now();
    const known = this.#known.get(key);
    if (known && known.until > now) {
      known.repeated++;
      return;
    }
    this.#known.delete(key);
    this.#known.set(key, { until: after(now, quiet), repeated: 0 });
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > most && oldest !== undefined) this.#known.delete(oldest);
    const repeated = known?.repeated ? { repeated: known.repeated } : {};
    this.#log.warn({ node, ...fields, ...repeated }, 'message refused');
  }
}

/** Of what was refused at once. */
const mostShown = 8;

/** What a refusal says, in a few words. */
export function refusalText(body: NhrpMessage['body']): string {
  if (body.type === 'error-indication') return `error ${String(body.code)}`;
  if (!('cies' in body)) return '';
  const refused = body.cies.filter((one) => one.code !== cieCode.ok);
  const shown = refused
    .slice(0, mostShown)
    .map((one) => `${one.protocolAddress ?? '?'}/${String(one.prefixLength)}: code ${String(one.code)}`);
  const left = refused.length - shown.length;
  return [...shown, ...(left > 0 ? [`${String(left)} more`] : [])].join(', ');
}
