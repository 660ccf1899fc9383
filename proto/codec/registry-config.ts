// registry.yaml: where the registry listens and keeps its state, and what a new overlay starts with. Written by `dmwg init`.
// The overlay's settings seed an empty store; after that the store has them, and `dmwg` changes them there.
import * as z from 'zod';
import { familyOf, lengthOf, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { parseOverlayName, type Phase } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { type Milliseconds, milliseconds, parseDuration, type Seconds, seconds } from '#proto/model/time.ts';
import { parseLinkPrefix } from './session.ts';
import { duration, formatYaml, hostPort, parseYaml, prefix, text } from './yaml-file.ts';

export interface RegistryConfig {
  readonly version: 1;
  readonly overlay: string;
  /** host:port that nodes and operators use. */
  readonly registryAddress: string;
  readonly listen: string;
  /** host:port where nodes reach this replica, told to them all; absent: they know only what their agent.yaml says. */
  readonly public: string | undefined;
  /** Of this replica within its cluster: 0 best, 255 worst. */
  readonly priority: number;
  /** Nodes use a replica of a higher cluster only without one of a lower. */
  readonly cluster: number;
  /** Of the dashboard and the metrics; absent: none. */
  readonly http: string | undefined;
  /** URLs; none: the registry runs its own etcd. */
  readonly etcd: readonly string[];
  /** Needed for, and only for, URLs of https. */
  readonly etcdTls: EtcdTls | undefined;
  readonly pool: Prefix;
  readonly pool6: Prefix | undefined;
  readonly summaries: readonly Prefix[];
  readonly phase: Phase;
  readonly linkPrefix: Prefix;
  readonly holdingTime: Seconds;
  readonly negativeHoldingTime: Seconds;
  readonly idleTimeout: Seconds;
  readonly bfdInterval: Milliseconds;
  readonly bfdMultiplier: number;
  readonly mtu: number;
  /** Hub tunnels that a spoke keeps up in each cluster; 0: to all hubs of the cluster. */
  readonly maxConnections: number;
  readonly fallbackTime: Seconds;
}

/** PEM files, relative to the state dir. A cluster that asks for no client certificate needs only its CA. */
export interface EtcdTls {
  readonly ca: string;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

export const defaultRegistryPort = 7443;

/** What `dmwg init` need not be told. */
export const registryDefaults = {
  version: 1,
  listen: `0.0.0.0:${String(defaultRegistryPort)}`,
  public: undefined,
  priority: 0,
  cluster: 0,
  http: undefined,
  etcd: [],
  etcdTls: undefined,
  pool6: undefined,
  summaries: [],
  phase: 3,
  holdingTime: seconds(7200),
  negativeHoldingTime: seconds(30),
  idleTimeout: seconds(300),
  bfdInterval: milliseconds(250),
  bfdMultiplier: 3,
  mtu: 1420,
  maxConnections: 0,
  fallbackTime: seconds(30),
} as const satisfies Partial<RegistryConfig>;

const d = registryDefaults;

const file = z.string().min(1, 'is empty');

const schema = z
  .strictObject({
    version: z.literal(1, 'is not 1, the only version known here'),
    overlay: text(parseOverlayName),
    registryAddress: hostPort,
    listen: hostPort.default(d.listen),
    public: hostPort.optional(),
    priority: z.int().min(0).max(255).default(d.priority),
    cluster: z.int().min(0).max(255).default(d.cluster),
    http: hostPort.optional(),
    etcd: z.array(text(parseEtcdUrl)).default([]),
    etcdTls: z
      .strictObject({ ca: file, certificate: file.optional(), key: file.optional() })
      .transform(({ ca, certificate, key }): EtcdTls => ({ ca, certificate, key }))
      .optional(),
    pool: text((value) => parsePool(value, 4)),
    pool6: text((value) => parsePool(value, 6)).optional(),
    summaries: z.array(prefix).default([]),
    phase: z.union([z.literal(1), z.literal(2), z.literal(3)], 'is not 1, 2 or 3').default(d.phase),
    linkPrefix: text(parseLinkPrefix),
    holdingTime: duration(1, 0xffff).default(d.holdingTime),
    negativeHoldingTime: duration(1, 0xffff).default(d.negativeHoldingTime),
    idleTimeout: duration(1, 0xffff_ffff).default(d.idleTimeout),
    bfdInterval: text(parseInterval).default(d.bfdInterval),
    bfdMultiplier: z.int().min(1).max(255).default(d.bfdMultiplier),
    mtu: z.int().min(1280, 'is under 1280, the least for IPv6').max(65_535).default(d.mtu),
    maxConnections: z.int().min(0).max(255).default(d.maxConnections),
    fallbackTime: duration(0, 0xffff).default(d.fallbackTime),
  })
  .transform(({ http, etcdTls, pool6, public: open, ...rest }): RegistryConfig => {
    return { ...rest, http, etcdTls, pool6, public: open };
  });

/** One fault that names everything that is wrong, each with its path. */
export function parseRegistryConfig(source: string): Result<RegistryConfig> {
  return parseYaml(source, schema);
}

export function formatRegistryConfig(config: RegistryConfig): string {
  return formatYaml({
    ...config,
    holdingTime: `${String(config.holdingTime)}s`,
    negativeHoldingTime: `${String(config.negativeHoldingTime)}s`,
    idleTimeout: `${String(config.idleTimeout)}s`,
    fallbackTime: `${String(config.fallbackTime)}s`,
    bfdInterval: `${String(config.bfdInterval)}ms`,
  });
}

/** A pool of node addresses, with room for at least two. */
export function parsePool(source: string, family: 4 | 6): Result<Prefix> {
  const pool = parsePrefix(source);
  if (!pool.ok) return pool;
  const longest = family === 4 ? 30 : 126;
  if (familyOf(pool.value) !== family) return fail('bad-pool', `${pool.value} is not an IPv${String(family)} prefix`);
  if (lengthOf(pool.value) > longest)
    return fail('bad-pool', `${pool.value} is too small: at most /${String(longest)}`);
  return pool;
}

function parseInterval(source: string): Result<Milliseconds> {
  const span = parseDuration(source);
  if (!span.ok || !/[a-z]$/.test(source))
    return fail('bad-duration', 'is a duration with its unit, such as 300ms or 1s');
  const value = Math.round(span.value * 1000);
  return value >= 10 && value <= 60_000 ? ok(milliseconds(value)) : fail('bad-duration', 'is from 10ms to 60s');
}

function parseEtcdUrl(source: string): Result<string> {
  return URL.canParse(source) && /^https?:\/\/[^/?#@]+\/?$/.test(source)
    ? ok(source.replace(/\/$/, ''))
    : fail('bad-url', `"${source.slice(0, 64)}" is not the URL of an etcd member, such as http://127.0.0.1:2379`);
}
