import * as z from 'zod';
import { ProgramError } from '#proto/kit/errors.ts';
import { type NhrpCounters, nhrpTypes, type Tally } from '#proto/model/nhrp-counters.ts';
import { routingShape } from './status-routing.ts';

const optionalText = z.string().nullish();
const optionalNumber = z.number().nullish();
const counts = z.record(z.string(), z.number());
const tally = z.object({ messages: counts, naks: z.record(z.string(), counts), errors: counts });

const uplink = z.object({
  name: z.string(),
  interface: optionalText,
  priority: z.number(),
  state: z.string(),
  active: z.boolean(),
  hubs: z.array(z.string()),
  addresses: z.array(z.string()),
  gateway: optionalText,
  rttMs: optionalNumber,
  loss: optionalNumber,
});

/** The fields of the agent's status that are shown as text. More may come, and `-o json` passes them on. */
const statusShape = z.object({
  node: z.string(),
  role: z.string(),
  address: optionalText,
  address6: optionalText,
  overlay: optionalText,
  revoked: optionalText,
  registry: z.object({
    connected: z.boolean(),
    endpoint: optionalText,
    servers: z
      .array(
        z.object({
          address: z.string(),
          priority: optionalNumber,
          cluster: optionalNumber,
          state: z.string(),
          age: optionalNumber,
        }),
      )
      .optional(),
  }),
  registration: z.object({ refused: z.array(z.string()) }).optional(),
  faults: z.array(z.string()).optional(),
  hubs: z.array(
    z.object({
      node: z.string(),
      address: z.string(),
      priority: z.number(),
      cluster: optionalNumber,
      state: z.string(),
      active: z.boolean(),
      rttMs: optionalNumber,
      loss: optionalNumber,
      uplink: optionalText,
      interface: optionalText,
      endpoint: optionalText,
      age: optionalNumber,
    }),
  ),
  uplinks: z.array(uplink).optional(),
  peers: z.array(
    z.object({
      node: z.string(),
      address: z.string(),
      path: z.string(),
      state: z.string(),
      endpoint: optionalText,
      bfd: optionalText,
      rttMs: optionalNumber,
      loss: optionalNumber,
      reason: optionalText,
    }),
  ),
  shortcuts: z.array(
    z.object({
      prefix: z.string(),
      node: z.string(),
      address: optionalText,
      endpoint: optionalText,
      interface: optionalText,
      nat: z.boolean().nullish(),
      age: optionalNumber,
      expiresIn: optionalNumber,
    }),
  ),
  cache: z
    .array(
      z.object({
        prefix: z.string(),
        type: z.string(),
        node: z.string(),
        address: optionalText,
        endpoint: optionalText,
        interface: z.string(),
        flags: z.array(z.string()),
        age: optionalNumber,
        expiresIn: optionalNumber,
      }),
    )
    .optional(),
  interfaces: z.array(z.object({ name: z.string(), kind: optionalText, listenPort: optionalNumber })).optional(),
  routing: routingShape.optional(),
  counters: z.object({ received: tally, sent: tally }).optional(),
});

export type AgentView = z.infer<typeof statusShape>;

/** Throws ProgramError if a promised field is missing. */
export function agentView(data: unknown): AgentView {
  const parsed = statusShape.safeParse(data);
  if (parsed.success) return parsed.data;
  throw strange(parsed.error.issues[0]?.path.join('.') ?? '');
}

/** Throws ProgramError if the agent is of a version that does not count. */
export function agentCounters({ counters }: AgentView): NhrpCounters {
  if (!counters) throw strange('counters');
  return { received: wholeTally(counters.received), sent: wholeTally(counters.sent) };
}

function wholeTally({ messages, naks, errors }: z.infer<typeof tally>): Tally {
  const whole = Object.fromEntries(nhrpTypes.map((type) => [type, messages[type] ?? 0]));
  return {
    messages: whole as Tally['messages'],
    naks: {
      'resolution-reply': naks['resolution-reply'] ?? {},
      'registration-reply': naks['registration-reply'] ?? {},
    },
    errors,
  };
}

function strange(path: string): ProgramError {
  return new ProgramError(
    `the agent's answer is not understood at "${path}"; dmwg and dmwg-agent must be of one version`,
  );
}
