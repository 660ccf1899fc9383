import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '#test/support/lab/host.ts';
import { until } from '#test/support/poll.ts';
import { formatRows } from './table.ts';
import { type BenchWorld, withWorld } from './world.ts';

const runs = 25;
/** Between two changes: at a kernel whose routes do not rest an agent looks ever more seldom. */
const restMs = 700;

/** From a change in one spoke's kernel, as its routing daemon makes it, to the change in another's. */
export async function routeChange(): Promise<string> {
  return withWorld({ init: ['--pool', '10.77.0.0/24', '--phase', '2'] }, async (world) => {
    await importOspf(world);
    const { c, d } = world.spokes;
    const times = { here: watch(c.host), there: watch(d.host) };
    const added: number[] = [];
    const withdrawn: number[] = [];
    for (let index = 0; index < runs; index += 1) {
      // Another prefix each time, so that none flaps.
      const prefix = `10.8.${String(index)}.0/24`;
      for (const [change, found] of [
        ['add', added],
        ['del', withdrawn],
      ] as const) {
        await new Promise((resolve) => setTimeout(resolve, restMs));
        await c.host.run(['ip', 'route', change, prefix, 'dev', 'lan', 'proto', 'ospf']);
        const [here, there] = await Promise.all([times.here(change, prefix), times.there(change, prefix)]);
        found.push(there - here);
      }
    }
    return formatRows("A route in one spoke's kernel to the route in another's", [
      { what: 'added', values: added, unit: 'ms' },
      { what: 'withdrawn', values: withdrawn, unit: 'ms' },
    ]);
  });
}

/** Spoke c announces what OSPF puts into its kernel. */
async function importOspf({ overlay, spokes: { c } }: BenchWorld): Promise<void> {
  await overlay.ask('prefix', 'allow', 'c', '10.8.0.0/16 le 24');
  await c.host.run(['ip', 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'lan-far']);
  for (const name of ['lan', 'lan-far']) await c.host.run(['ip', 'link', 'set', name, 'up']);
  await c.stop();
  await appendFile(join(overlay.nodeDir('c'), 'agent.yaml'), 'routing: {import: [{protocol: ospf}]}\n');
  await c.start();
  await overlay.settled();
}

/** When the kernel of a host changed, by itself, in ms since 1970: asked for each change once. */
function watch(host: Host): (change: 'add' | 'del', prefix: string) => Promise<number> {
  const program = host.spawn(['ip', '-ts', 'monitor', 'route']);
  return async (change, prefix) => {
    const line = `^\\[([^\\]]+)\\] ${change === 'add' ? '' : 'Deleted '}${prefix.replaceAll('.', '\\.')} `;
    const found = await until(
      `${change} ${prefix} on ${host.name}`,
      () => new RegExp(line, 'm').exec(program.stdout())?.[1],
      {
        within: 20_000,
      },
    );
    return new Date(found).getTime();
  };
}
