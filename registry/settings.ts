// dmwg-registry's command line and registry.yaml -> what it is to do.
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { formatHostPort, type HostPort, parseHostPort } from '#proto/codec/host-port.ts';
import { defaultRegistryPort, type RegistryConfig } from '#proto/codec/registry-config.ts';
import { usageError } from '#proto/kit/errors.ts';
import { createLogger, type Logger } from '#proto/kit/log.ts';
import { version } from '#proto/kit/version.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { RegistryEndpoint } from '#proto/model/session.ts';
import { readStateDir, type StateDir } from '#registry/serve/state-dir.ts';

export interface Options {
  readonly stateDir: string;
  readonly listen?: string;
  readonly http?: string;
  readonly etcd: readonly string[];
  readonly advertise?: string;
  readonly public?: string;
  readonly priority?: string;
  readonly cluster?: string;
  readonly logLevel: string;
}

export interface Settings {
  readonly state: StateDir;
  readonly listen: HostPort;
  readonly http: HostPort | undefined;
  readonly etcd: readonly string[];
  readonly advertise: string;
  readonly public: RegistryEndpoint | undefined;
  readonly log: Logger;
}

export interface Actions {
  readonly run: (options: Options) => Promise<void>;
  readonly backup: (file: string, options: Options) => Promise<void>;
  readonly restore: (file: string, options: Options) => Promise<void>;
}

export function program(actions: Actions): Command {
  const command = new Command('dmwg-registry')
    .description('The registry of an overlay: enrols nodes, keeps their bindings in etcd and answers their requests.')
    .version(version)
    .requiredOption('--state-dir <dir>', 'what `dmwg init` created')
    .option('--listen <addr:port>', 'for nodes and operators (default: as in registry.yaml)')
    .option('--http <addr:port>', 'for /metrics and /healthz (default: as in registry.yaml)')
    .option(
      '--etcd <url>',
      'a member of an etcd cluster (repeat; default: as in registry.yaml, else its own etcd)',
      collect,
      [],
    )
    .option(
      '--advertise <host:port>',
      'where other replicas reach this one (default: --listen, or the registry address)',
    )
    .option('--public <host:port>', 'where nodes reach this replica: they learn it, and spread over all')
    .option('--priority <n>', 'of this replica within its cluster: 0 best, 255 worst (default: 0)')
    .option('--cluster <n>', 'nodes use a replica of a higher cluster only without one of a lower (default: 0)')
    .addOption(
      new Option('--log-level <level>', 'how much it logs')
        .choices(['trace', 'debug', 'info', 'warn', 'error'])
        .default('info')
        .env('DMWG_LOG_LEVEL'),
    )
    .addHelpText('after', '\nSIGTERM sends the nodes away and stops within 5 s. Their tunnels are not affected.')
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .action((options: Options) => actions.run(options));
  command
    .command('backup <file>')
    .description('writes the overlay to a new file: the records in etcd, the CA, the state dir')
    .exitOverride()
    .action((file: string, _: unknown, inner: Command) => actions.backup(file, inner.optsWithGlobals<Options>()));
  command
    .command('restore <file>')
    .description('makes the state dir and the records in etcd of a backup, where none are')
    .exitOverride()
    .action((file: string, _: unknown, inner: Command) => actions.restore(file, inner.optsWithGlobals<Options>()));
  return command;
}

/** Throws ProgramError. */
export function parseEtcd(urls: readonly string[]): string[] {
  return urls.map((url) => take('--etcd', parseEtcdUrl(url)));
}

/** Throws ProgramError for what cannot be. */
export async function settle(options: Options): Promise<Settings> {
  const listen =
    options.listen === undefined ? undefined : take('--listen', parseHostPort(options.listen, defaultRegistryPort));
  const http = options.http === undefined ? undefined : take('--http', parseHostPort(options.http));
  const advertise = options.advertise === undefined ? undefined : take('--advertise', parseHostPort(options.advertise));
  const etcd = parseEtcd(options.etcd);
  const state = await readStateDir(resolve(options.stateDir));
  const { config } = state;
  const from = listen ?? take('listen', parseHostPort(config.listen, defaultRegistryPort));
  const wildcard = from.host === '0.0.0.0' || from.host === '::';
  const own = wildcard ? config.registryAddress : formatHostPort(from);
  return {
    state,
    listen: from,
    http: http ?? (config.http === undefined ? undefined : take('http', parseHostPort(config.http))),
    etcd: etcd.length > 0 ? etcd : config.etcd,
    advertise: advertise ? formatHostPort(advertise) : own,
    public: publicEndpoint(options, config),
    log: createLogger('dmwg-registry', options.logLevel),
  };
}

/** Options before registry.yaml. */
function publicEndpoint(options: Options, config: RegistryConfig): RegistryEndpoint | undefined {
  const number = (option: string, text: string | undefined): number | undefined =>
    text === undefined ? undefined : take(option, parseOctet(text));
  const address =
    options.public === undefined
      ? config.public
      : formatHostPort(take('--public', parseHostPort(options.public, defaultRegistryPort)));
  const priority = number('--priority', options.priority) ?? config.priority;
  const cluster = number('--cluster', options.cluster) ?? config.cluster;
  return address === undefined ? undefined : { address, priority, cluster };
}

function parseOctet(text: string): Result<number> {
  return /^\d{1,3}$/.test(text) && Number(text) <= 255
    ? ok(Number(text))
    : fail('bad-number', `"${text.slice(0, 64)}" is not a number from 0 to 255`);
}

function parseEtcdUrl(text: string): Result<string> {
  return URL.canParse(text) && /^https?:\/\/[^/?#@]+\/?$/.test(text)
    ? ok(text.replace(/\/$/, ''))
    : fail('bad-url', `"${text.slice(0, 64)}" is not the URL of an etcd member, such as http://127.0.0.1:2379`);
}

function take<T>(option: string, result: Result<T>): T {
  if (result.ok) return result.value;
  throw usageError({ code: result.fault.code, message: `${option}: ${result.fault.message}` });
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}
