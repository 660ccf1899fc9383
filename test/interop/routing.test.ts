// Prefixes that routing daemons know in one branch reach the routers of another branch's LAN through the overlay, and go when
// they are withdrawn.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Frr } from '#test/support/lab/frr.ts';
import type { Host } from '#test/support/lab/host.ts';
import { replyThat } from '#test/support/lab/paths.ts';
import { slowness, until } from '#test/support/poll.ts';
import {
  behind,
  type Branch,
  createWorld,
  setBehind,
  type Protocol,
  routed,
  startBranch,
  type World,
} from './routing-world.ts';

test('LANs join by their routing protocols', async (t) => {
  const world = await createWorld(t);

  let number = 0;
  for (const [what, a, b] of process.env['ONLY']
    ? [['EIGRP', 'eigrp', 'eigrp'] as const]
    : ([
        ['OSPF in both branches', 'ospf', 'ospf'],
        ['BGP in both branches', 'bgp', 'bgp'],
        ['OSPF in one branch, BGP in the other', 'ospf', 'bgp'],
        ['OSPFv3: IPv6 in both branches', 'ospf6', 'ospf6'],
        ['EIGRP in both branches', 'eigrp', 'eigrp'],
      ] as const)) {
    await t.test(what, async (subtest) => {
      const routers: Frr[] = [];
      number += 1;
      for (const branch of ['a', 'b'] as const) await setBehind(world, branch, number);
      try {
        routers.push(...(await startBranch(world, 'a', a)), ...(await startBranch(world, 'b', b)));
        await exchange(world, number, { a, b });
      } catch (error) {
        subtest.diagnostic(routers.map((router) => `${router.host.name}:\n${router.log()}`).join('\n'));
        throw error;
      } finally {
        for (const router of routers) await router.stop();
      }
    });
  }
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
