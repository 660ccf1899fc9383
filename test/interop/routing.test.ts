// Prefixes that routing daemons know in one branch reach the routers of another branch's LAN through the overlay, and go when
// they are withdrawn.
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Router } from '#test/support/lab/frr.ts';
import type { Host } from '#test/support/lab/host.ts';
import { replyThat } from '#test/support/lab/paths.ts';
import { run } from '#test/support/lab/process.ts';
import { slowness, until } from '#test/support/poll.ts';
import {
  behind,
  type Branch,
  createWorld,
  examples,
  setBehind,
  type Protocol,
  routed,
  startBranch,
  type World,
} from './routing-world.ts';
import { siteBackup } from './site-backup.ts';

const routesShown = z.array(z.object({ prefix: z.string(), node: z.string() }));

test('LANs join by their routing protocols', async (t) => {
  const world = await createWorld(t);

  let number = 0;
  for (const [what, a, b, inB] of [
    ['OSPF in both branches', 'ospf', 'ospf', 'frr'],
    ['BGP in both branches', 'bgp', 'bgp', 'frr'],
    ['OSPF in one branch, BGP by BIRD in the other', 'ospf', 'bgp', 'bird'],
    ['OSPFv3: IPv6 in both branches', 'ospf6', 'ospf6', 'frr'],
    ['EIGRP in both branches', 'eigrp', 'eigrp', 'frr'],
  ] as const) {
    await t.test(what, async (subtest) => {
      const routers: Router[] = [];
      number += 1;
      for (const branch of ['a', 'b'] as const) await setBehind(world, branch, number);
      try {
        routers.push(...(await startBranch(world, 'a', a, 'frr')), ...(await startBranch(world, 'b', b, inB)));
        await exchange(world, number, { a, b });
      } catch (error) {
        subtest.diagnostic(routers.map((router) => `${router.host.name}:\n${router.log()}`).join('\n'));
        throw error;
      } finally {
        for (const router of routers) await router.stop();
      }
    });
  }

  await t.test('two routers in one branch', (subtest) => siteBackup(subtest, world, number + 1));
});

/**
 * Takes away what is behind the LAN's router in branch a. FRR's eigrpd (8.4) tells nobody of a network that is gone; it sees a
 * cable that is pulled.
 */
async function interrupt({ a, ra }: World, by: Protocol, state: 'up' | 'down'): Promise<void> {
  if (by !== 'eigrp') return ra.link('eth2', state);
  for (const host of [a.host, ra]) await host.link('eth1', state);
}

/** Waits until a host is answered. */
async function reached(world: World, host: Host, way: { readonly to: string; readonly from: string }): Promise<void> {
  const answered = async (): Promise<boolean> => (await host.ping({ ...way, count: 2, rate: 20 })).replies.length > 0;
  await until(`${way.to} answers`, answered, { within: 20_000 * slowness, explain: () => world.lab.state() });
}

async function exchange(world: World, number: number, by: Readonly<Record<Branch, Protocol>>): Promise<void> {
  const family = by.a === 'ospf6' ? 6 : 4;
  /** The router of a branch's LAN and what it has the other branch's network from. */
  const learns = async (branch: Branch, prefix: string): Promise<void> => {
    const own = by[branch];
    await routed(world, world[branch].host, prefix, '109');
    await routed(world, world[`r${branch}`], own === 'eigrp' ? '10.0.0.0/8' : prefix, own.replace('6', ''));
  };
  const [a, b] = [behind('a', number, family), behind('b', number, family)];
  await learns('b', a.prefix);
  await learns('a', b.prefix);

  // What came out of the overlay is not announced from the other branch.
  const announced = routesShown
    .parse(await world.overlay.ask('show', 'routes'))
    .filter(({ prefix }) => prefix === a.prefix || prefix === b.prefix || prefix === '10.0.0.0/8');
  assert.deepEqual(announced.map(({ prefix, node }) => `${prefix} ${node}`).sort(), [`${a.prefix} a`, `${b.prefix} b`]);

  const ping = world.ra.startPing({ to: b.address, from: a.address, rate: 50 });
  // Hop limits: the branches' routers take one each, and a hub a third.
  await replyThat(world.lab, ping, { came: ({ ttl }) => ttl === 62, what: 'that did not pass the hub' });
  const { lost, replies } = await ping.finish();
  // The hub may hear of the prefixes a moment after the branches.
  const began = replies[0]?.sequence ?? 0;
  assert.deepEqual(
    lost.filter((sequence) => sequence > began),
    [],
  );

  await interrupt(world, by.a, 'down');
  await routed(world, world.b.host, a.prefix, undefined);
  if (by.b !== 'eigrp') await routed(world, world.rb, a.prefix, undefined);
  await interrupt(world, by.a, 'up');
  await learns('b', a.prefix);
  await reached(world, world.rb, { to: a.address, from: b.address });
}

test('BIRD understands its examples', async () => {
  const folder = new URL('bird/', examples);
  for (const name of await readdir(folder)) await run(['bird', '-p', '-c', fileURLToPath(new URL(name, folder))]);
});
