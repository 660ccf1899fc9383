import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { formatHostPort, type HostPort, parseHostPort } from '#proto/codec/host-port.ts';
import { formatProfile } from '#proto/codec/profile.ts';
import {
  defaultRegistryPort,
  formatRegistryConfig,
  parseRegistryConfig,
  type RegistryConfig,
  registryDefaults,
} from '#proto/codec/registry-config.ts';
import { type CertificateAuthority, createCa, createCsr, issueCertificate, pemOf } from '#proto/kit/certificate.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { ProgramError } from '#proto/kit/errors.ts';
import type { Identity } from '#proto/kit/identity.ts';
import type { Secret } from '#proto/kit/secret.ts';
import { formatAddress, parseAddress } from '#proto/model/address.ts';
import { fail, must, ok, type Result } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';
import { collect } from './find.ts';
import { Faults, type Io } from './io.ts';
import { type OutputOptions, present, withOutput } from './output.ts';
import { exists } from './state-dir.ts';
import { writeStateDir } from './write-dir.ts';

interface InitOptions extends OutputOptions {
  readonly stateDir: string;
  readonly overlayName: string;
  readonly pool: string;
  readonly pool6?: string;
  readonly summary: readonly string[];
  readonly registryAddress: string;
  readonly listen?: string;
  readonly http?: string;
  readonly etcd: readonly string[];
  readonly phase: string;
  readonly holdingTime: string;
  readonly negativeHoldingTime: string;
  readonly idleTimeout: string;
  readonly bfdInterval: string;
  readonly bfdMultiplier: string;
  readonly mtu: string;
  readonly maxConnections: string;
  readonly fallbackTime: string;
}

/** The registry renews its certificate itself; an operator's stays as it is. */
const validity = { registry: seconds(365 * 86_400), admin: seconds(10 * 365 * 86_400) };
const d = registryDefaults;

export function addInit(program: Command, io: Io): void {
  const command = program.command('init').description('create an overlay: its CA, and the state dir of its registry');
  withOutput(command)
    .requiredOption('--state-dir <dir>', 'where the registry keeps its state; must not hold one yet')
    .requiredOption('--overlay-name <name>', 'lower-case letters, digits, hyphens')
    .requiredOption('--pool <cidr>', 'IPv4 addresses of the nodes')
    .option('--pool6 <cidr>', 'IPv6 addresses of the nodes')
    .option('--summary <cidr>', 'what spokes send to a hub besides the pools (repeat)', collect, [])
    .requiredOption(
      '--registry-address <host[:port]>',
      `what nodes connect to; default port ${String(defaultRegistryPort)}`,
    )
    .option('--listen <addr:port>', 'where the registry listens (default: all addresses, the port above)')
    .option('--http <addr:port>', 'where the dashboard and /metrics are (default: nowhere)')
    .option('--etcd <url>', 'a member of an etcd cluster (repeat; default: its own etcd)', collect, [])
    .option('--phase <1|2|3>', 'DMVPN phase', String(d.phase))
    .option('--holding-time <duration>', 'how long a binding lives without refresh', `${String(d.holdingTime)}s`)
    .option(
      '--negative-holding-time <duration>',
      'how long "no such node" is kept',
      `${String(d.negativeHoldingTime)}s`,
    )
    .option('--idle-timeout <duration>', 'when an unused direct tunnel goes', `${String(d.idleTimeout)}s`)
    .option('--bfd-interval <duration>', 'between packets that prove a path, 10ms to 60s', `${String(d.bfdInterval)}ms`)
    .option('--bfd-multiplier <n>', 'lost packets until a path is down', String(d.bfdMultiplier))
    .option('--mtu <octets>', 'of the tunnels', String(d.mtu))
    .option(
      '--max-connections <n>',
      'hub tunnels that a spoke keeps up in each cluster; 0: to all hubs',
      String(d.maxConnections),
    )
    .option(
      '--fallback-time <duration>',
      'how long a better hub must be up before traffic returns to it',
      `${String(d.fallbackTime)}s`,
    )
    .addHelpText('after', examples)
    .action((options: InitOptions) => init(io, options));
}

async function init(io: Io, options: InitOptions): Promise<void> {
  const { config, address } = parseOptions(options);
  const dir = resolve(options.stateDir);
  await refuseExisting(dir);
  const now = systemClock.date();
  const ca = await createCa(config.overlay, now);
  const registry = await issue(ca, config.overlay, 'registry', address);
  const admin = await issue(ca, config.overlay, 'admin', undefined);
  const profile = formatProfile({
    version: 1,
    registry: [config.registryAddress],
    caCertificate: ca.certificate,
    certificate: admin.certificate,
    key: admin.key,
  });
  await writeStateDir(dir, [
    { name: 'ca.key', content: ca.key },
    { name: 'ca.crt', content: ca.certificate },
    { name: 'registry.key', content: registry.key },
    // With the CA, so that `dmwg join` can compare it with the token's pin.
    { name: 'registry.crt', content: registry.certificate + ca.certificate },
    { name: 'admin.yaml', content: profile },
    { name: 'registry.yaml', content: formatRegistryConfig(config) },
  ]);
  const profilePath = join(dir, 'admin.yaml');
  const data = {
    stateDir: dir,
    overlay: config.overlay,
    profile: profilePath,
    registryAddress: config.registryAddress,
  };
  await present(io, options, () =>
    Promise.resolve({
      data,
      table: () => `Overlay ${config.overlay} is created in ${dir}.
Admin profile: ${profilePath}
Start the registry:  dmwg-registry --state-dir ${dir}
Then let hubs join:  dmwg token create --role hub --state-dir ${dir}
`,
    }),
  );
}

function parseOptions(options: InitOptions): { readonly config: RegistryConfig; readonly address: HostPort } {
  const faults = new Faults();
  const address = faults.take('--registry-address', parseHostPort(options.registryAddress, defaultRegistryPort));
  const phase = faults.take('--phase', parseInteger(options.phase, 1, 3));
  const bfdMultiplier = faults.take('--bfd-multiplier', parseInteger(options.bfdMultiplier, 1, 255));
  // IPv6 needs 1280 octets, and the tunnels carry IPv6 link addresses.
  const mtu = faults.take('--mtu', parseInteger(options.mtu, 1280, 65_535));
  const maxConnections = faults.take('--max-connections', parseInteger(options.maxConnections, 0, 255));
  const everywhere = address?.host.includes(':') === true ? '::' : '0.0.0.0';
  const port = address?.port ?? defaultRegistryPort;
  const raw = {
    version: 1,
    overlay: options.overlayName,
    registryAddress: address ? formatHostPort(address) : 'localhost:1',
    listen: options.listen ?? formatHostPort({ host: everywhere, port }),
    http: options.http,
    etcd: options.etcd,
    pool: options.pool,
    pool6: options.pool6,
    summaries: options.summary,
    phase: phase ?? d.phase,
    linkPrefix: randomLinkPrefix(),
    holdingTime: options.holdingTime,
    negativeHoldingTime: options.negativeHoldingTime,
    idleTimeout: options.idleTimeout,
    bfdInterval: options.bfdInterval,
    bfdMultiplier: bfdMultiplier ?? d.bfdMultiplier,
    mtu: mtu ?? d.mtu,
    maxConnections: maxConnections ?? d.maxConnections,
    fallbackTime: options.fallbackTime,
  };
  const config = parseRegistryConfig(stringify(raw));
  if (!config.ok) faults.addAll(flagNames(config.fault.message));
  if (faults.any || !config.ok || !address) throw faults.error();
  return { config: config.value, address };
}

/** The fault names fields of registry.yaml; the operator gave flags. */
function flagNames(message: string): string {
  const flags: Readonly<Record<string, string>> = { overlay: '--overlay-name', summaries: '--summary' };
  return message.replace(/(^|; )([a-z][A-Za-z0-9]*)(?:\[\d+\])?: /g, (_all, before: string, field: string) => {
    const dashed = field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    return `${before}${flags[field] ?? `--${dashed}`}: `;
  });
}

export function parseInteger(text: string, least: number, most: number): Result<number> {
  const value = Number(text);
  return /^\d{1,10}$/.test(text) && value >= least && value <= most
    ? ok(value)
    : fail('bad-number', `"${text.slice(0, 32)}" is not a number from ${String(least)} to ${String(most)}`);
}

/** A /64 of RFC 4193: fd, 40 random bits, subnet 0. */
function randomLinkPrefix(): string {
  const random = BigInt(`0x${randomBytes(5).toString('hex')}`);
  return `${formatAddress(6, (0xfdn << 120n) | (random << 80n))}/64`;
}

async function refuseExisting(dir: string): Promise<void> {
  for (const name of ['registry.yaml', 'ca.key']) {
    if (await exists(join(dir, name))) {
      throw new ProgramError(`${dir} already holds a registry (${name}); choose another --state-dir`);
    }
  }
  if (await exists(join(dir, 'agent.yaml'))) {
    throw new ProgramError(`${dir} is the state dir of a node; choose another --state-dir`);
  }
}

/** `address` is that of the server; without it the certificate is a client's. */
async function issue(
  ca: CertificateAuthority,
  overlay: string,
  name: 'registry' | 'admin',
  address: HostPort | undefined,
): Promise<{ readonly certificate: string; readonly key: Secret }> {
  const identity: Identity = { kind: name, overlay, name };
  const { csr, key } = await createCsr(name);
  const hosts = address ? [...new Set([address.host, 'localhost', '127.0.0.1', '::1'])] : [];
  const issued = must(
    await issueCertificate({
      ca: ca.certificate,
      caKey: ca.key,
      csr,
      identity,
      name,
      validity: validity[name],
      usage: address ? 'both' : 'client',
      dnsNames: hosts.filter((host) => !parseAddress(host).ok),
      ipAddresses: hosts.filter((host) => parseAddress(host).ok),
      now: systemClock.date(),
    }),
  );
  return { certificate: pemOf(issued.certificate), key };
}

const examples = `
Examples:
  dmwg init --state-dir /var/lib/dmwg/registry --overlay-name lab --pool 10.100.0.0/16 \\
            --registry-address registry.example.net
  dmwg init --state-dir ./reg --overlay-name lab --pool 10.100.0.0/16 --pool6 fd00:100::/64 \\
            --summary 192.168.0.0/16 --registry-address 192.0.2.10:7443 --phase 3
`;
