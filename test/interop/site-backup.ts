// Branch a has a second router, a2, which stands in for the first one.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { type Router, startFrr } from '#test/support/lab/frr.ts';
import type { Pinging } from '#test/support/lab/ping.ts';
import { slowness, until } from '#test/support/poll.ts';
import {
  behind,
  daemons,
  example,
  examples,
  importing,
  routed,
  setBehind,
  startBranch,
  type World,
} from './routing-world.ts';

const rate = 50;

/** `number`: of the case, for its networks. */
export async function siteBackup(t: TestContext, world: World, number: number): Promise<void> {
  const { lab, overlay, a, b, rb } = world;
  const explain = (): Promise<string> => lab.state();
  const a2 = await joinSecond(world);
  for (const branch of ['a', 'b'] as const) await setBehind(world, branch, number);
  const [inA, inB] = [behind('a', number, 4), behind('b', number, 4)];
  const second = await example('a', 'frr/second-ospf');
  const routers: Router[] = [
    ...(await startBranch(world, 'a', 'ospf', 'frr')),
    ...(await startBranch(world, 'b', 'ospf', 'frr')),
    await startFrr(a2.host, { config: second, daemons: daemons.ospf }),
  ];
  try {
    await until(
      'both routers announce the network, and the first one is active',
      async () => (await origins(world, inA.prefix)) === 'a 200 active, a2 100',
      {
        within: 20_000 * slowness,
        every: 200,
        explain: async () => `${await origins(world, inA.prefix)}\n${await explain()}`,
      },
    );
    await routed(world, rb, inA.prefix, 'ospf');
    await routed(world, world.ra, inB.prefix, 'ospf');

    const ping = rb.startPing({ to: inA.address, from: inB.address, rate });
    const direct = async (to: Agent): Promise<void> => {
      await until(`traffic goes to ${to.name} directly`, async () => (await b.peer(to.name))?.path === 'direct', {
        within: 20_000 * slowness,
        every: 200,
        explain,
      });
    };
    await direct(a);

    await t.test('the better router is lost: the traffic goes by the other one', async (subtest) => {
      const lostAt = Date.now();
      await power(a, 'down');
      await repliesAfter(world, ping, lostAt + 1500);
      subtest.diagnostic(`${gapAfter(ping, lostAt).toFixed(0)} ms without a reply`);
      assert.ok(gapAfter(ping, lostAt) < 4000 * slowness, `${gapAfter(ping, lostAt).toFixed(0)} ms without a reply`);
    });

    await t.test('it comes back, and takes the traffic over', async (subtest) => {
      const backAt = Date.now();
      await power(a, 'up');
      await overlay.settled();
      await direct(a);
      await repliesAfter(world, ping, Date.now());
      subtest.diagnostic(`${gapAfter(ping, backAt).toFixed(0)} ms without a reply`);
    });

    await t.test('the better router loses its LAN', async (subtest) => {
      const lostAt = Date.now();
      await a.host.link('eth1', 'down');
      await direct(a2);
      await repliesAfter(world, ping, lostAt + 1500);
      subtest.diagnostic(`${gapAfter(ping, lostAt).toFixed(0)} ms without a reply`);
    });
    await ping.finish();
  } finally {
    for (const router of routers) await router.stop();
  }
}

/** The second router joins, and the first one is told of it. */
async function joinSecond({ overlay, a }: World): Promise<Agent> {
  const section = async (name: string, other: string): Promise<string> =>
    (await readFile(new URL(`agent/${name}.yaml`, examples), 'utf8')).replace(/\[(first|second)\]/, `[${other}]`);
  const a2 = await overlay.join('a2', { configure: importing(await section('site-second', 'a')) });
  for (const node of ['a', 'a2']) {
    const done = await overlay.admin('prefix', 'allow', node, '10.1.0.0/16', '--le', '24', '--shared');
    assert.equal(done.code, 0, done.stderr);
  }
  await a.stop();
  const file = join(a.stateDir, 'agent.yaml');
  await writeFile(file, importing(await section('site-first', 'a2'))(await readFile(file, 'utf8')));
  await a.start();
  await overlay.settled();
  return a2;
}

/** "a 200 active, a2 100": who announces a prefix, with which preference, and whether it is active. */
async function origins({ overlay }: World, prefix: string): Promise<string> {
  const all = (await overlay.ask('show', 'routes')) as readonly {
    readonly prefix: string;
    readonly node: string;
    readonly preference: number;
    readonly active: boolean;
  }[];
  const found = all.filter((route) => route.prefix === prefix);
  return found
    .map(({ node, preference, active }) => `${node} ${String(preference)}${active ? ' active' : ''}`)
    .sort()
    .join(', ');
}

/** All cables of a machine at once. */
async function power({ host }: Agent, state: 'up' | 'down'): Promise<void> {
  for (const link of ['internet', 'eth1']) await host.link(link, state);
  if (state === 'down') return;
  await host.run(['ip', 'route', 'replace', '192.0.2.1', 'dev', 'internet']);
  await host.run(['ip', 'route', 'replace', 'default', 'via', '192.0.2.1']);
}

async function repliesAfter({ lab }: World, ping: Pinging, moment: number): Promise<void> {
  const enough = (): boolean => ping.replies().filter(({ at }) => at > moment).length > rate;
  await until('the ping is answered again', enough, { within: 30_000 * slowness, explain: () => lab.state() });
}

/** The longest time between two replies since a moment, in ms. */
function gapAfter(ping: Pinging, moment: number): number {
  const times = ping.replies().map(({ at }) => at);
  const after = times.filter((at) => at >= moment - 1000);
  return after.reduce((most, at, index) => Math.max(most, at - (after[index - 1] ?? at)), 0);
}
