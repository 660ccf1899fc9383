// agent.yaml: what a node knows of itself. Written by `dmwg join`, read by the agent.
import * as z from 'zod';
import { type Address, familyOf, parseAddress, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, parseEndpoint } from '#proto/model/endpoint.ts';
import {
  type NodeId,
  type NodeName,
  parseNodeId,
  parseNodeName,
  parseOverlayName,
  type Role,
} from '#proto/model/names.ts';
import type { Result } from '#proto/model/result.ts';
import { defaultRouting, type ExitConfig, type RoutingConfig } from '#proto/model/routing.ts';
import { defaultQuality, type QualityConfig } from '#proto/model/quality.ts';
import type { UplinkConfig } from '#proto/model/uplink.ts';
import { exitSchema, formatRouting, routingSchema } from './routing-config.ts';
import { qualitySchema } from './quality-config.ts';
import { uplinksSchema } from './uplink-config.ts';
import { formatYaml, hostPort, parseYaml, prefix, text, withEntry } from './yaml-file.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface AgentConfig {
  readonly version: 1;
  readonly overlay: string;
  readonly node: {
    readonly id: NodeId;
    readonly name: NodeName;
    readonly role: Role;
    readonly address: Address;
    readonly address6: Address | undefined;
    /** Announced. */
    readonly prefixes: readonly Prefix[];
  };
  /** host:port, tried in order. At least one. */
  readonly registry: readonly string[];
  /** UDP port of the multipoint interface; of a hub by default that of its first endpoint, of a spoke chosen once. */
  readonly listenPort: number | undefined;
  /** Public endpoints of a hub. */
  readonly endpoints: readonly Endpoint[];
  readonly logLevel: LogLevel;
  /** Of the tunnel interfaces; absent: as the overlay says. */
  readonly mtu: number | undefined;
  readonly routing: RoutingConfig;
  readonly exit: ExitConfig | undefined;
  /** None: packets leave as the host's routes say. */
  readonly uplinks: readonly UplinkConfig[];
  /** Absent: paths that are Up are all the same. */
  readonly quality: QualityConfig | undefined;
}

const port = z.int().min(1).max(65_535).optional();

const schema = z
  .strictObject({
    version: z.literal(1, 'is not 1, the only version known here'),
    overlay: text(parseOverlayName),
    node: z.strictObject({
      id: text(parseNodeId),
      name: text(parseNodeName),
      role: z.enum(['hub', 'spoke'], 'is not hub or spoke'),
      address: text(parseAddress),
      address6: text(parseAddress).optional(),
      prefixes: z.array(prefix).default([]),
    }),
    registry: z.array(hostPort).min(1, 'needs at least one host:port'),
    listenPort: port,
    endpoints: z.array(text(parseEndpoint)).default([]),
    logLevel: z.enum(logLevels, `is not one of ${logLevels.join(', ')}`).default('info'),
    mtu: z.int().min(1280, 'is under 1280, the least for IPv6').max(65_535).optional(),
    routing: routingSchema.optional(),
    exit: exitSchema.optional(),
    uplinks: uplinksSchema.default([]),
    quality: qualitySchema.optional(),
  })
  .superRefine((config, context) => {
    const issue = (path: string[], message: string): void => {
      context.addIssue({ code: 'custom', path, message });
    };
    if (config.node.address6 !== undefined && familyOf(config.node.address6) !== 6) {
      issue(['node', 'address6'], 'is not an IPv6 address');
    }
    if (config.node.role === 'hub' && config.exit !== undefined) {
      issue(['exit'], 'a hub sends nothing through an exit: it may be one');
    }
    if (config.node.role === 'hub' && config.uplinks.length > 0) {
      issue(['uplinks'], 'are of spokes: route by source address on a hub');
    }
    if (config.node.role === 'hub' && config.endpoints.length === 0) {
      issue(['endpoints'], 'a hub needs at least one public endpoint');
    }
  })
  .transform((config): AgentConfig => {
    const { listenPort, mtu, node, routing = defaultRouting, exit, ...rest } = config;
    const quality = 'quality' in config ? config.quality : defaultQuality;
    return { ...rest, quality, listenPort, mtu, routing, exit, node: { ...node, address6: node.address6 } };
  });

/** One fault that names everything that is wrong, each with its path. */
export function parseAgentConfig(source: string): Result<AgentConfig> {
  return parseYaml(source, schema);
}

/** The text with another exit; comments and everything else stay. Fault: those of parseAgentConfig. */
export function withExit(source: string, exit: ExitConfig | undefined): Result<string> {
  return withEntry(source, 'exit', exit && { ...exit });
}

export function formatAgentConfig(config: AgentConfig): string {
  const uplinks = config.uplinks.length === 0 ? undefined : config.uplinks;
  const quality = config.quality === undefined ? 'off' : sameQuality(config.quality) ? undefined : config.quality;
  return formatYaml({ ...config, uplinks, quality, routing: formatRouting(config.routing) });
}

function sameQuality({ loss, rtt }: QualityConfig): boolean {
  return loss === defaultQuality.loss && rtt === defaultQuality.rtt;
}
