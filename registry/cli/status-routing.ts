// The part of `dmwg status` about routes: announced, learned, left out, and the exit.
import * as z from 'zod';
import { formatTable } from './table.ts';

const optionalText = z.string().nullish();

/** The fields of the agent's status that are shown. */
export const routingShape = z.object({
  announced: z.array(
    z.object({ prefix: z.string(), preference: z.number(), origin: z.string(), refused: optionalText }),
  ),
  withheld: z.array(z.object({ prefix: z.string(), reason: z.string() })),
  learned: z.array(
    z.object({
      prefix: z.string(),
      node: z.string(),
      preference: z.number(),
      origins: z.number(),
      installed: z.boolean(),
      reason: optionalText,
    }),
  ),
  counts: z.object({ announced: z.number(), withheld: z.number(), learned: z.number() }),
  exit: z
    .object({ node: z.string(), killSwitch: z.boolean(), interface: optionalText, reason: optionalText })
    .nullish(),
});

type RoutingView = z.infer<typeof routingShape>;

interface Row {
  readonly prefix: string;
  readonly state: string;
  readonly from: string;
  readonly preference: number | undefined;
  readonly reason: string;
}

/** "exit: gateway by dmwg-h1, kill switch on"; empty if there is none. */
export function exitLine({ exit }: RoutingView): string {
  if (!exit) return '';
  const way = exit.interface ? `by ${exit.interface}` : `not there: ${exit.reason ?? ''}`;
  return `exit: ${exit.node} ${way}${exit.killSwitch ? ', kill switch on' : ''}`;
}

/** Empty if there is nothing to tell. */
export function routingText(view: RoutingView): string {
  const rows: Row[] = [
    ...view.announced.map(({ prefix, preference, origin, refused }) => ({
      prefix,
      state: refused ? 'refused' : 'announced',
      from: origin,
      preference,
      reason: refused ?? '',
    })),
    ...view.withheld.map(({ prefix, reason }) => ({
      prefix,
      state: 'withheld',
      from: '',
      preference: undefined,
      reason,
    })),
    ...view.learned.map(({ prefix, preference, node, installed, reason, origins }) => ({
      prefix,
      state: installed ? 'installed' : 'left out',
      from: origins > 1 ? `${node} and ${String(origins - 1)} more` : node,
      preference,
      reason: reason ?? '',
    })),
  ];
  if (rows.length === 0) return '';
  const { announced, withheld, learned } = view.counts;
  const more = announced + withheld + learned - rows.length;
  const table = formatTable<Row>(
    [
      { title: 'ROUTE', text: ({ prefix }) => prefix },
      { title: 'STATE', text: ({ state }) => state },
      { title: 'FROM', text: ({ from }) => from },
      { title: 'PREF', text: ({ preference }) => (preference ? String(preference) : ''), right: true },
      { title: 'REASON', text: ({ reason }) => reason },
    ],
    rows,
  );
  return more > 0 ? `${table}and ${String(more)} more\n` : table;
}
