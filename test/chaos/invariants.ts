// What is so whenever nothing is wrong: each returns what is not, in words.
import { footprintOf, type Footprint } from '#test/support/lab/footprint.ts';
import { binary } from '#test/support/lab/service.ts';
import { type ChaosWorld, etcdctl } from './world.ts';

interface NodeView {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly prefixes: readonly string[];
  readonly registered: boolean;
}

export async function footprints({ agents }: ChaosWorld): Promise<ReadonlyMap<string, Footprint>> {
  const all = new Map<string, Footprint>();
  for (const [name, { host }] of agents) all.set(name, await footprintOf(host));
  return all;
}

/** Interfaces, rules, tables, programs and sockets are those of before; host routes are those of its shortcuts. */
export async function orphans(world: ChaosWorld, before: ReadonlyMap<string, Footprint>): Promise<string[]> {
  const found: string[] = [];
  for (const [name, now] of await footprints(world)) {
    const was = before.get(name);
    for (const kind of ['interfaces', 'nft', 'rules', 'processes', 'sockets'] as const) {
      if (was?.[kind].join('\n') !== now[kind].join('\n')) {
        found.push(`${name}: ${kind} ${now[kind].join(', ')}; before ${was?.[kind].join(', ') ?? ''}`);
      }
    }
    const agent = world.agents.get(name);
    if (agent?.role !== 'spoke') continue;
    const direct = new Set((await agent.status()).shortcuts.map(({ prefix }) => prefix.replace(/\/32$/, '')));
    const routes = now.routes.filter((route) => route.includes(` dev ${agent.multipoint} `) && !route.includes(':'));
    for (const route of routes) {
      const [destination = ''] = route.split(' ');
      if (!direct.has(destination)) found.push(`${name}: route ${route} of no shortcut`);
    }
  }
  return found;
}

/** All replicas say the same as etcd, and no two nodes have the same name or address. */
export async function disagreements({ lab, registries, agents }: ChaosWorld): Promise<string[]> {
  const found: string[] = [];
  const keys = (await etcdctl(lab, 'r1', ['get', '--prefix', '/dmwg/v1/test/', '--keys-only']))?.split('\n') ?? [];
  const below = (folder: string): string[] =>
    keys.flatMap((key) => (key.startsWith(`/dmwg/v1/test/${folder}/`) ? [key.split('/').at(-1) ?? ''] : [])).sort();
  const sessions = below('sessions');
  if (sessions.join() !== below('nodes').join()) found.push(`sessions in etcd: ${sessions.join()}`);
  if (below('replicas').length !== registries.size) found.push(`replicas in etcd: ${below('replicas').join()}`);
  const answers = new Map<string, string>();
  for (const [name, { stateDir, host }] of registries) {
    const done = await host.runAny([binary('dmwg'), 'show', 'nodes', '--state-dir', stateDir, '-o', 'json']);
    if (done.code !== 0) {
      found.push(`${name} does not answer: ${done.stderr}`);
      continue;
    }
    const nodes = (JSON.parse(done.stdout) as readonly NodeView[])
      .map(({ id, name: called, address, prefixes, registered }) => ({
        id,
        name: called,
        address,
        prefixes,
        registered,
      }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    answers.set(name, JSON.stringify(nodes));
    if (nodes.map(({ id }) => id).join() !== below('nodes').join()) found.push(`${name} has other nodes than etcd`);
    if (!nodes.every(({ registered }) => registered)) found.push(`${name}: ${JSON.stringify(nodes)}`);
    if (new Set(nodes.map(({ address }) => address)).size !== agents.size)
      found.push(`${name}: addresses are not unique`);
  }
  if (new Set(answers.values()).size > 1) found.push(`replicas differ: ${JSON.stringify([...answers])}`);
  return found;
}
