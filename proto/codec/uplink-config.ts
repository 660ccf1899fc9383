// The "uplinks" of agent.yaml.
import * as z from 'zod';
import { familyOf, parseAddress } from '#proto/model/address.ts';
import { mostUplinks, type UplinkConfig } from '#proto/model/uplink.ts';
import { interfaceName } from './routing-config.ts';
import { text } from './yaml-file.ts';

/** Between the priorities of uplinks that have none: room for others. */
const step = 10;

const uplink = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9._@+-]{1,31}$/, 'is not a name: use 1 to 31 letters, digits and ._@+-')
      .optional(),
    interface: interfaceName.optional(),
    source: text(parseAddress).optional(),
    gateway: text(parseAddress).optional(),
    priority: z.int().min(0).max(255).optional(),
  })
  .refine((one) => one.interface !== undefined || one.source !== undefined, 'needs an interface or a source address')
  .refine(
    ({ source, gateway }) => !source || !gateway || familyOf(source) === familyOf(gateway),
    'has a source and a gateway of different families',
  );

export const uplinksSchema = z
  .array(uplink)
  .max(mostUplinks, `has more than ${String(mostUplinks)} uplinks`)
  .transform((list): UplinkConfig[] =>
    list.map((one, index) => ({
      name: one.name ?? one.interface ?? one.source ?? '',
      interface: one.interface,
      source: one.source,
      gateway: one.gateway,
      priority: one.priority ?? Math.min(255, index * step),
    })),
  )
  .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, 'has two uplinks of one name');
