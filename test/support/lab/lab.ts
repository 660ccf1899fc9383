import { existsSync, rmSync } from 'node:fs';
import { construct } from './build.ts';
import { type Core, createCore } from './core.ts';
import { createHost, type Host } from './host.ts';
import { interfacePrefix, labName, socketsOf, staleNamespaces, staleSockets } from './names.ts';
import { natRules } from './nat.ts';
import { coreName, internet, type LabPlan, members } from './plan.ts';
import { type Program, run, runAny, runSync } from './process.ts';

export interface Lab {
  /** Hosts and NATs by the name they have in the plan; also "core" and "switch". Throws for any other. */
  host(name: string): Host;
  /** Drops everything between the internet addresses of two hosts, both ways and silently. */
  cut(a: string, b: string): Promise<void>;
  heal(a: string, b: string): Promise<void>;
  /** Drops this part (0 to 100) of what a host sends to and gets from the internet. */
  lose(host: string, percent: number): Promise<void>;
  /** Every link of the internet takes this many ms longer, each way. False if this kernel cannot do it (no netem). */
  delay(milliseconds: number): Promise<boolean>;
  /** Packets that cuts dropped since the lab began: a test can see that its cut bit. */
  dropped(): Promise<number>;
  /** What `state` prints besides the hosts' network. */
  explainWith(explain: () => Promise<string>): void;
  /** Addresses, routes and WireGuard of all hosts, as text. */
  state(): Promise<string>;
  dispose(): Promise<void>;
}

/** The labs that this process has not taken down yet: taken down without waiting if a signal ends it. */
const open = new Set<readonly string[]>();

export async function createLab(plan: LabPlan): Promise<Lab> {
  watchSignals();
  removeStale();
  const label = labName();
  const namespaceOf = (name: string): string => `${label}-${name}`;
  const all = members(plan);
  const work = construct(plan, namespaceOf);
  const namespaces = work.namespaces.map(namespaceOf);
  const programs: Program[] = [];
  const explainers: (() => Promise<string>)[] = [];
  const prefixes: string[] = [];
  const hosts = new Map<string, Host>();

  const dispose = async (): Promise<void> => {
    for (const program of programs.splice(0)) await program.stop('SIGKILL').catch(() => null);
    removeNamespaces(namespaces);
    for (const path of prefixes.flatMap(socketsOf)) rmSync(path, { force: true });
    open.delete(namespaces);
  };

  let core: Core;
  open.add(namespaces);
  try {
    const add = namespaces.map((name) => `netns add ${name}`);
    await batch([], [...add, ...work.machine]);
    for (const [name, lines] of work.inside) await batch(['-n', namespaceOf(name)], lines);
    for (const name of work.namespaces) {
      const own = { interfacePrefix: interfacePrefix(), otherPrefix: interfacePrefix() };
      prefixes.push(own.interfacePrefix, own.otherPrefix);
      const started = (program: Program): void => {
        programs.push(program);
      };
      hosts.set(
        name,
        createHost({
          name,
          namespace: namespaceOf(name),
          ...own,
          started,
        }),
      );
    }
    for (const name of work.routers) {
      await hostOf(hosts, name).run(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    }
    for (const [name, nat] of Object.entries(plan.nats ?? {})) {
      if (nat.kind !== 'none')
        await hostOf(hosts, name).run(['nft', '-f', '-'], {
          input: natRules(nat.kind),
        });
    }
    core = await createCore(hostOf(hosts, coreName));
  } catch (error) {
    await dispose();
    throw error;
  }

  const address = (name: string): string => {
    const found = all.get(name)?.attach[internet];
    if (found === undefined) throw new Error(`${name} has no internet address`);
    return found;
  };
  return {
    host: (name) => hostOf(hosts, name),
    cut: (a, b) => core.cut(address(a), address(b)),
    heal: (a, b) => core.heal(address(a), address(b)),
    lose: (name, percent) => core.lose(address(name), percent),
    delay: (milliseconds) => core.delay(milliseconds),
    dropped: () => core.dropped(),
    explainWith: (explain) => {
      explainers.push(explain);
    },
    state: async () => {
      const texts = [...all.keys()].map((name) => hostState(hostOf(hosts, name)));
      return [...(await Promise.all(texts)), ...(await Promise.all(explainers.map((explain) => explain())))].join('\n');
    },
    dispose,
  };
}

function hostOf(hosts: ReadonlyMap<string, Host>, name: string): Host {
  const host = hosts.get(name);
  if (host === undefined) throw new Error(`the lab has no host "${name}"`);
  return host;
}

async function batch(options: readonly string[], lines: readonly string[]): Promise<void> {
  await run(['ip', ...options, '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
  });
}

async function hostState(host: Host): Promise<string> {
  const commands = [
    ['ip', '-br', 'address'],
    ['ip', 'route'],
    ['wg', 'show'],
  ];
  const results = await Promise.all(
    commands.map((argv) => host.runAny(argv).catch((error: unknown) => ({ stdout: String(error) }))),
  );
  const texts = results.map(({ stdout }, index) => `# ${commands[index]?.join(' ') ?? ''}\n${ofHost(host, stdout)}`);
  return [`## ${host.name} (${host.namespace})`, ...texts].join('\n');
}

/** Without the paragraphs about interfaces of others: wg shows those of wireguard-go in all namespaces. */
function ofHost(host: Host, text: string): string {
  const foreign = (part: string): boolean =>
    part.startsWith('interface: ') && !part.startsWith(`interface: ${host.interfacePrefix}`);
  return text
    .split(/\n(?=interface: )/)
    .filter((part) => !foreign(part))
    .join('\n');
}

/** Ends what runs in the namespaces, by pid, and deletes them. Synchronous: also for the end of the process. */
function removeNamespaces(namespaces: readonly string[]): void {
  const present = namespaces.filter((name) => existsSync(`/run/netns/${name}`));
  for (const name of present) {
    for (const pid of runSync(['ip', 'netns', 'pids', name]).split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  }
  for (const name of present) runSync(['ip', 'netns', 'delete', name]);
}

function removeStale(): void {
  removeNamespaces(staleNamespaces());
  for (const path of staleSockets()) rmSync(path, { force: true });
}

let watching = false;

function watchSignals(): void {
  if (watching) return;
  watching = true;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      for (const namespaces of open) removeNamespaces(namespaces);
      process.kill(process.pid, signal);
    });
  }
}

/** Why labs cannot be made here, or undefined. */
export async function labObstacle(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const probe = await runAny(['unshare', '--net', 'true']);
  return probe.code === 0 ? undefined : `no network namespaces: ${probe.stderr.trim()}`;
}
