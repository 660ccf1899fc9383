// FRR on a host of the lab: its daemons with directories of their own, as many routers at once as a test wants. The
// configuration is one integrated frr.conf, read by vtysh as Debian's service reads it.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { slowness, until } from '../poll.ts';
import type { Host } from './host.ts';
import { type Program, run } from './process.ts';

export type FrrDaemon = 'zebra' | 'staticd' | 'bfdd' | 'ospfd' | 'ospf6d' | 'eigrpd' | 'bgpd';

/** A routing daemon, or some, on a host. */
export interface Router {
  readonly host: Host;
  /** What its programs have printed. */
  log(): string;
  /** The routes that it made go with it. */
  stop(): Promise<void>;
}

export interface Frr extends Router {
  /** What `show ... json` prints. */
  show(command: string): Promise<unknown>;
  /** What a command prints as text. */
  tell(command: string): Promise<string>;
  /** Lines of the configuration mode. Throws if one is not understood. */
  configure(...lines: readonly string[]): Promise<void>;
  /** Throws if it was not started. */
  daemon(name: FrrDaemon): Program;
  /** Starts a daemon that has ended, with the configuration that the router began with. */
  restart(name: FrrDaemon): Promise<void>;
}

export interface FrrOptions {
  /** The text of frr.conf. */
  readonly config: string;
  /** zebra runs always. */
  readonly daemons: readonly FrrDaemon[];
}

const programs = '/usr/lib/frr';
/** Where each daemon keeps its latest log lines, for a crash; the path is fixed. */
const crashLogs = '/var/tmp/frr';

export async function startFrr(host: Host, { config, daemons }: FrrOptions): Promise<Frr> {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-frr-'));
  const running = new Map<FrrDaemon, Program>();
  const all: { readonly name: FrrDaemon; readonly program: Program }[] = [];
  const vtysh = (...argv: readonly string[]): Promise<string> =>
    run(['vtysh', '--config_dir', dir, '--vty_socket', dir, ...argv]);

  const launch = async (name: FrrDaemon): Promise<void> => {
    const own = name === 'bfdd' ? ['--bfdctl', join(dir, 'bfdd.ctl')] : [];
    const program = host.spawn([
      join(programs, name),
      // The group that owns the sockets of vtysh has to be its own.
      ...['-u', 'root', '-g', 'frrvty', '-f', '/dev/null', '-P', '0', '--log', 'stdout'],
      ...['--vty_socket', dir, '-z', join(dir, 'zserv'), '-i', join(dir, `${name}.pid`), ...own],
    ]);
    running.set(name, program);
    all.push({ name, program });
    const sockets = [`${name}.vty`, 'zserv'].map((file) => join(dir, file));
    await until(
      `${name} is ready on ${host.name}`,
      () => {
        if (!program.isRunning()) throw new Error('it ended');
        return sockets.every((path) => existsSync(path));
      },
      { within: 10_000 * slowness, every: 10, explain: () => program.stderr() + program.stdout() },
    );
  };

  const frr: Frr = {
    host,
    show: async (command) => JSON.parse(await vtysh('-c', command)) as unknown,
    tell: (command) => vtysh('-c', command),
    configure: async (...lines) => {
      await vtysh(...['configure terminal', ...lines].flatMap((line) => ['-c', line]));
    },
    daemon: (name) => {
      const program = running.get(name);
      if (program === undefined) throw new Error(`${name} was not started on ${host.name}`);
      return program;
    },
    restart: async (name) => {
      await rm(join(dir, `${name}.vty`), { force: true });
      await launch(name);
      await vtysh('-b');
    },
    log: () => all.map(({ program }) => program.stderr() + program.stdout()).join(''),
    stop: async () => {
      for (const { name, program } of all.reverse()) {
        await program.stop();
        await rm(join(crashLogs, `${name}.${String(program.pid)}`), { recursive: true, force: true });
      }
      await rmdir(crashLogs).catch(() => undefined); // Others may have theirs there.
      await rm(dir, { recursive: true, force: true });
    },
  };
  try {
    await writeFile(join(dir, 'vtysh.conf'), '');
    await writeFile(join(dir, 'frr.conf'), config);
    for (const name of new Set<FrrDaemon>(['zebra', ...daemons])) await launch(name);
    await vtysh('-b');
  } catch (error) {
    await frr.stop();
    throw error;
  }
  return frr;
}
