// Chance breaks things, the seed says which. After every round all pairs talk again, and none was without a packet for longer than
// what went wrong accounts for; at the end nothing is left over and everybody agrees.
//   DMWG_SEED=7 DMWG_CHAOS=100 test/run chaos     so many rounds of this seed, the same ones every time
import assert from 'node:assert/strict';
import test from 'node:test';
import { slowness, until } from '#test/support/poll.ts';
import { longestGap } from './bounds.ts';
import { carryOut } from './faults.ts';
import { disagreements, footprints, orphans } from './invariants.ts';
import { describe, planOf } from './plan.ts';
import { type ChaosWorld, createChaosWorld, detectionMs, members, type PairFlow, rate } from './world.ts';

const seed = Number(process.env['DMWG_SEED'] ?? 1);
const rounds = Number(process.env['DMWG_CHAOS'] ?? 5);

/** Pairs of s1, s2, s3 and s8, and of s7 with everybody. */
const surelyDirect = 13;
const times = { detection: detectionMs, recovery: 8000 * slowness, hubs: members.hubs, behind: members.behind };
/** What a flow may be without a packet although nothing is wrong with it: two intervals, and a second. */
const usual = 1000 * slowness + 2000 / rate;

test(`chaos of seed ${String(seed)}`, async (t) => {
  t.diagnostic(`DMWG_SEED=${String(seed)} DMWG_CHAOS=${String(rounds)}`);
  const world = await createChaosWorld(t);
  const explain = (): Promise<string> => world.lab.state();
  await allTalk(world, 0);
  await until('pairs are direct', async () => (await directPairs(world)).size >= surelyDirect, {
    within: 60_000 * slowness,
    every: 500,
    explain,
  });
  const before = await footprints(world);

  for (const [index, round] of planOf(seed, rounds, members).entries()) {
    await t.test(`round ${String(index + 1)}: ${describe(round)}`, async (part) => {
      const direct = await directPairs(world);
      const began = Date.now();
      await carryOut(world, round);
      await allTalk(world, Date.now());
      const stall = gapSince(world.control, began);
      const worst = Math.max(...world.flows.map(({ ping }) => gapSince(ping, began)));
      part.diagnostic(`longest gap ${String(worst)} ms, of the machine ${String(stall)} ms`);
      const late = world.flows.flatMap((flow) => {
        const bound = longestGap({ ends: flow.ends, direct: direct.has(nameOf(flow)) }, round, times) + usual + stall;
        const gap = gapSince(flow.ping, began);
        return gap <= bound ? [] : [`${nameOf(flow)}: ${String(gap)} ms, at most ${String(bound)}`];
      });
      assert.deepEqual(late, []);
      await world.overlay.settled();
    });
  }

  await t.test('nothing is left over, and all agree', async () => {
    await world.overlay.settled();
    let wrong: readonly string[] = [];
    await until(
      'all is as it was',
      async () => {
        wrong = [...(await orphans(world, before)), ...(await disagreements(world))];
        return wrong.length === 0;
      },
      { within: 60_000 * slowness, every: 1000, explain: () => wrong.join('\n') },
    );
  });
});

/** Every flow has a reply to something that was sent after this moment. */
async function allTalk({ flows, lab }: ChaosWorld, since: number): Promise<void> {
  const silent = (): PairFlow[] =>
    flows.filter(({ ping }) => !ping.replies().some(({ at, rttMs }) => at - rttMs > since));
  await until('every pair talks', () => silent().length === 0, {
    within: 60_000 * slowness,
    every: 250,
    explain: async () => `silent: ${silent().map(nameOf).join()}\n${await lab.state()}`,
  });
}

async function directPairs({ agents, flows }: ChaosWorld): Promise<ReadonlySet<string>> {
  const direct = new Set<string>();
  for (const name of members.spokes) {
    for (const peer of (await agents.get(name)?.status())?.peers ?? []) {
      if (peer.path === 'direct') direct.add(`${name}-${peer.node}`);
    }
  }
  const both = flows.filter(({ ends: [one, other] }) => direct.has(`${one}-${other}`) && direct.has(`${other}-${one}`));
  return new Set(both.map(nameOf));
}

/** Milliseconds. */
function gapSince(ping: PairFlow['ping'], since: number): number {
  const moments = ping.replies().map(({ at }) => at);
  const last = moments.filter((at) => at < since).at(-1) ?? since;
  const later = [last, ...moments.filter((at) => at >= since), Date.now()];
  return Math.max(...later.slice(1).map((at, index) => Math.round(at - (later[index] ?? at))));
}

function nameOf({ ends }: PairFlow): string {
  return ends.join('-');
}
