import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Host } from './host.ts';
import { socketsOf } from './names.ts';

/** What the programs have put on a host, in words that do not change while nothing is done: two equal ones can be compared. */
export interface Footprint {
  readonly interfaces: readonly string[];
  /** "interface: peer allowed-ips". */
  readonly peers: readonly string[];
  readonly routes: readonly string[];
  /** Tables that are not the lab's. */
  readonly nft: readonly string[];
  readonly rules: readonly string[];
  /** Programs by name, but for those that tests start. */
  readonly processes: readonly string[];
  readonly sockets: readonly string[];
}

export const emptyFootprint: Footprint = {
  interfaces: [],
  peers: [],
  routes: [],
  nft: [],
  rules: [],
  processes: [],
  sockets: [],
};

const links = z.array(z.object({ ifname: z.string() }));
const routes = z.array(z.object({ dst: z.string(), dev: z.string().optional(), metric: z.number().optional() }));

export async function footprintOf(host: Host): Promise<Footprint> {
  const prefix = host.interfacePrefix;
  const interfaces = links
    .parse(JSON.parse(await host.run(['ip', '-j', 'link'])))
    .map((link) => link.ifname)
    .filter((name) => name.startsWith(prefix));
  // Every namespace sees the sockets of all wireguard-go processes.
  const dump = await host.run(['wg', 'show', 'all', 'allowed-ips']);
  const peers = dump
    .split('\n')
    .filter((line) => line.startsWith(prefix))
    .map((line) => line.replace('\t', ': ').replaceAll('\t', ' ').split(' '))
    .map(([name = '', peer = '', ...allowed]) => [name, peer, ...allowed.sort()].join(' '));
  const found: string[] = [];
  for (const family of ['-4', '-6']) {
    const text = await host.run(['ip', family, '-j', 'route', 'show', 'table', 'all', 'proto', '109']);
    const list = routes.parse(JSON.parse(text === '' ? '[]' : text));
    found.push(...list.map((route) => `${route.dst} dev ${route.dev ?? ''} metric ${String(route.metric ?? 0)}`));
  }
  const tables = (await host.run(['nft', 'list', 'tables']))
    .split('\n')
    .filter((line) => line !== '' && !/ lab(count)?$/.test(line));
  const rules = (await host.run(['ip', 'rule']))
    .split('\n')
    .filter((line) => line !== '' && !/lookup (local|main|default)/.test(line));
  return {
    interfaces: interfaces.sort(),
    peers: peers.sort(),
    routes: found.sort(),
    nft: tables.sort(),
    rules,
    processes: (await programsOn(host)).map(({ name }) => name).sort(),
    sockets: socketsOf(prefix).sort(),
  };
}

const probes = new Set(['ping', 'tcpdump', 'ip']);

/** Pids of what runs on a host, by the program's name. */
export async function programsOn(host: Host): Promise<{ readonly pid: number; readonly name: string }[]> {
  const pids = (await host.run(['ip', 'netns', 'pids', host.namespace])).split('\n').filter(Boolean).map(Number);
  const named = await Promise.all(pids.map(async (pid) => ({ pid, name: await commandOf(pid) })));
  return named.filter(({ name }) => name !== '' && !probes.has(name));
}

async function commandOf(pid: number): Promise<string> {
  try {
    return (await readFile(`/proc/${String(pid)}/comm`, 'utf8')).trim();
  } catch {
    return ''; // It has ended.
  }
}
