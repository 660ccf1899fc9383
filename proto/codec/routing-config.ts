// The "routing" section of agent.yaml.
import * as z from 'zod';
import { checkAnnounced } from '#proto/model/address.ts';
import { parseNodeName } from '#proto/model/names.ts';
import { formatPrefixRule, parsePrefixRule } from '#proto/model/prefix-list.ts';
import {
  defaultRouting,
  type ExitConfig,
  formatRouteProtocol,
  formatTable,
  type ImportRule,
  importingDistance,
  loadSharings,
  mainTable,
  mostAnnounced,
  parseRouteProtocol,
  parseTable,
  type RoutingConfig,
} from '#proto/model/routing.ts';
import { prefix, text } from './yaml-file.ts';

const numberOrName = z.union([z.string(), z.int().transform(String)], 'is a name or a number');
const table = numberOrName.pipe(text(parseTable));
const preference = z.int().min(0).max(255).default(0);
export const interfaceName = z.string().regex(/^[A-Za-z0-9._@+-]{1,15}$/, 'is not the name of an interface');
const interfaces = z.union([interfaceName.transform((name) => [name]), z.array(interfaceName)]).default([]);
const announced = prefix.superRefine((value, context) => {
  const checked = checkAnnounced(value);
  if (!checked.ok) context.addIssue({ code: 'custom', message: checked.fault.message });
});
/** The first byte of a metric is the distance. */
const largestMetric = 0xff_ffff;
const metric = z.int().min(0).max(0xffff_ffff);

const importRule = z
  .strictObject({
    protocol: numberOrName.pipe(text(parseRouteProtocol)).optional(),
    table: table.default(mainTable),
    interface: interfaces,
    prefixes: z.array(text(parsePrefixRule)).default([]),
    except: z.array(text(parsePrefixRule)).default([]),
    metric: z
      .union(
        [metric.transform((value) => [value, value] as const), z.tuple([metric, metric])],
        'is a metric, or a range',
      )
      .optional(),
    preference,
  })
  .transform(
    ({ interface: names, metric: range, protocol, ...rest }): ImportRule => ({
      ...rest,
      protocol,
      interfaces: names,
      metric: range && { least: range[0], most: range[1] },
    }),
  );

export const routingSchema = z
  .strictObject({
    table: table.default(defaultRouting.table),
    metric: z
      .int()
      .min(1)
      .max(largestMetric - 50)
      .default(defaultRouting.metric),
    distance: z.int().min(0).max(255).optional(),
    site: z.array(text(parseNodeName)).default([]),
    connected: z.array(interfaceName).default([]),
    static: z
      .array(
        z.union([
          announced.transform((value) => ({ prefix: value, preference: 0 })),
          z.strictObject({ prefix: announced, preference }),
        ]),
      )
      .default([]),
    import: z.array(importRule).default([]),
    masquerade: z
      .union(
        [z.boolean().transform((all) => (all ? ['*'] : [])), z.array(interfaceName)],
        'is true, false or interfaces',
      )
      .default([]),
    limit: z.int().min(1).max(mostAnnounced).default(mostAnnounced),
    loadSharing: z.enum(loadSharings, `is not one of ${loadSharings.join(', ')}`).default(defaultRouting.loadSharing),
  })
  .transform(
    (config): RoutingConfig => ({
      ...config,
      distance: config.distance ?? (config.import.length > 0 ? importingDistance : defaultRouting.distance),
    }),
  );

const nodeName = text(parseNodeName);

/** "exit: NODE", or with more to say. */
export const exitSchema = z.union([
  nodeName.transform((via): ExitConfig => ({ via, killSwitch: false, direct: [] })),
  z.strictObject({ via: nodeName, killSwitch: z.boolean().default(false), direct: z.array(prefix).default([]) }),
]);

/** What routingSchema reads as this; undefined for what is the default anyway. */
export function formatRouting(config: RoutingConfig): unknown {
  if (config === defaultRouting) return undefined;
  return {
    ...config,
    table: formatTable(config.table),
    masquerade: config.masquerade.includes('*') ? true : config.masquerade,
    import: config.import.map(({ protocol, interfaces: names, metric: range, prefixes, except, ...rule }) => ({
      ...(protocol === undefined ? {} : { protocol: formatRouteProtocol(protocol) }),
      ...rule,
      table: formatTable(rule.table),
      interface: names,
      prefixes: prefixes.map(formatPrefixRule),
      except: except.map(formatPrefixRule),
      ...(range && { metric: [range.least, range.most] }),
    })),
  };
}
