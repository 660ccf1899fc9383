// Counters as data for scripts and as our own tables.
import { decodeCounters } from '#proto/codec/nhrp-counters.ts';
import type { GetCountersResponse } from '#proto/gen/dmwg/v1/admin.ts';
import { type NhrpCounters, type NhrpType, nhrpTypes, type Tally } from '#proto/model/nhrp-counters.ts';
import { errorWords, nakWords } from './code-words.ts';
import { formatTable } from './table.ts';
import { moment } from './views.ts';

export interface NodeCountersView extends NhrpCounters {
  readonly id: string;
  readonly name: string;
  /** When its session began. */
  readonly since: string | null;
}

/** Of one replica of the registry. */
export interface CountersView extends NhrpCounters {
  readonly replica: string;
  readonly since: string | null;
  readonly nodes: readonly NodeCountersView[];
}

export function countersView(answer: GetCountersResponse): CountersView {
  return {
    replica: answer.replica,
    since: moment(answer.sinceMs),
    ...decodeCounters(answer.total),
    nodes: answer.nodes.map(({ id, name, sinceMs, counters }) => ({
      id,
      name,
      since: moment(sinceMs),
      ...decodeCounters(counters),
    })),
  };
}

/** "Resolution Request", as Cisco writes it. */
export function typeTitle(type: NhrpType): string {
  return type.replaceAll(/(^|-)([a-z])/g, (_, dash: string, letter: string) => (dash && ' ') + letter.toUpperCase());
}

/** "Resolution Reply NAK 12 (no binding exists)" and how often. */
export function refusals({ naks, errors }: Tally): readonly (readonly [what: string, count: number])[] {
  return [
    ...(['resolution-reply', 'registration-reply'] as const).flatMap((type) =>
      Object.entries(naks[type]).map(
        ([code, count]) => [`${typeTitle(type)} NAK ${code} (${nakWords(Number(code))})`, count] as const,
      ),
    ),
    ...Object.entries(errors).map(
      ([code, count]) => [`Error Indication ${code} (${errorWords(Number(code))})`, count] as const,
    ),
  ];
}

export function totalOf({ messages }: Tally): number {
  return Object.values(messages).reduce((sum, count) => sum + count, 0);
}

export function countersTable({ received, sent }: NhrpCounters): string {
  const [refusedThere, refusedHere] = [new Map(refusals(received)), new Map(refusals(sent))];
  const refused = [...new Set([...refusedThere.keys(), ...refusedHere.keys()])].sort();
  return formatTable<readonly [string, number, number]>(
    [
      { title: 'MESSAGE', text: ([what]) => what },
      { title: 'RECEIVED', text: ([, count]) => String(count), right: true },
      { title: 'SENT', text: ([, , count]) => String(count), right: true },
    ],
    [
      ...nhrpTypes.map((type) => [typeTitle(type), received.messages[type], sent.messages[type]] as const),
      ...refused.map((what) => [what, refusedThere.get(what) ?? 0, refusedHere.get(what) ?? 0] as const),
    ],
  );
}

/** The total, and one line for each node. */
export function registryCountersTable(view: CountersView): string {
  const nodes = formatTable<NodeCountersView>(
    [
      { title: 'NODE', text: ({ name }) => name },
      { title: 'SESSION SINCE', text: ({ since }) => since ?? '' },
      { title: 'RECEIVED', text: ({ received }) => String(totalOf(received)), right: true },
      { title: 'SENT', text: ({ sent }) => String(totalOf(sent)), right: true },
      { title: 'REFUSED', text: ({ sent }) => String(sumOf(refusals(sent))), right: true },
    ],
    view.nodes,
  );
  const head = `Registry, replica ${view.replica}, since ${view.since ?? 'its start'}:\n`;
  return `${head}${countersTable(view)}${view.nodes.length > 0 ? `\n${nodes}` : ''}`;
}

function sumOf(counts: readonly (readonly [string, number])[]): number {
  return counts.reduce((sum, [, count]) => sum + count, 0);
}
