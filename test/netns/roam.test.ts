// Nodes that are suddenly reached at another place: who has a direct tunnel to them follows, and keeps it.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat } from '#test/support/lab/paths.ts';
import type { Pinging } from '#test/support/lab/ping.ts';
import { hubEndpoint, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const detectionMs = 3 * 250;

interface Move {
  /** The tunnel went on at the new place; else it was made anew. */
  readonly followed: boolean;
  readonly longestGapMs: number;
}

/** The host has another address on the internet from now on. */
async function move(lab: Lab, name: string, from: string, to: string): Promise<void> {
  const [core, host] = [lab.host('core'), lab.host(name)];
  await core.run(['ip', 'route', 'add', `${to}/32`, 'dev', name]);
  await host.run(['ip', '-batch', '-'], {
    input: `address add ${to}/32 dev internet\naddress del ${from}/32 dev internet\n`,
  });
  await core.run(['ip', 'route', 'del', `${from}/32`, 'dev', name]);
}

test('a direct tunnel follows the other end to its new place', async (t) => {
  const lab = await createLab(sites('restricted'));
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab, { init: ['--pool', '10.77.0.0/24', '--idle-timeout', '600s'] });
  t.after(() => overlay.dispose());
  await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const a = await overlay.join('a');
  const b = await overlay.join('b');
  const c = await overlay.join('c');
  await overlay.settled();

  const follows = async (mover: Agent, router: string, from: string, to: string): Promise<Move> => {
    const ping: Pinging = a.host.startPing({ to: mover.address, rate: 100 / slowness });
    await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    await bothDirect(lab, a, mover);
    const log = a.log().length;
    await move(lab, router, from, to);
    const moved = Date.now();
    await until(
      `${a.name} reaches ${mover.name} at ${to}`,
      async () => (await a.peer(mover.name))?.endpoint?.startsWith(`${to}:`) === true,
      { within: 20_000 * slowness, explain: () => lab.state() },
    );
    const followed = a
      .log()
      .slice(log)
      .find(({ msg }) => msg === 'direct path follows');
    const followedAt = followed?.at ?? Date.now();
    const again = await replyThat(lab, ping, { came: direct, what: 'without a hop again', since: followedAt });
    await bothDirect(lab, a, mover);
    const { longestGapMs } = await ping.finish();
    t.diagnostic(
      [
        `${mover.name}: ${followed ? 'followed' : 'resolved anew'} after ${String(followedAt - moved)} ms,`,
        `direct ${String(Math.round(again.at - followedAt))} ms later, ${longestGapMs.toFixed(0)} ms without a reply`,
      ].join(' '),
    );
    assert.ok(longestGapMs < (detectionMs + 4000) * slowness, `${longestGapMs.toFixed(0)} ms without a reply`);
    return { followed: followed !== undefined, longestGapMs };
  };
  /** Three times, as a machine that is busy with other things is not so each time; back where it was, NATs would still know it. */
  const isBackWithinASecond = async (mover: Agent, router: string, places: readonly string[]): Promise<void> => {
    const moves: Move[] = [];
    for (const [index, to] of places.slice(1).entries())
      moves.push(await follows(mover, router, places[index] ?? '', to));
    // Who moves again soon is told of later, and may have been asked for anew before.
    assert.ok(moves[0]?.followed, 'its session went on at the new place');
    const gaps = moves.map(({ longestGapMs }) => longestGapMs);
    assert.ok(Math.min(...gaps) < 1000 * slowness, `${gaps.join(', ')} ms without a reply`);
  };

  await t.test('a NAT gets another public address', () =>
    isBackWithinASecond(b, 'nat-b', ['203.0.113.12', '203.0.113.77', '203.0.113.81', '203.0.113.82']),
  );
  await t.test('a node without a NAT gets another address', () =>
    isBackWithinASecond(c, 'c', ['198.51.100.7', '198.51.100.77', '198.51.100.81', '198.51.100.82']),
  );
  await t.test('the NAT of the other end gets another public address', async () => {
    const ping = a.host.startPing({ to: b.address, rate: 100 / slowness });
    await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    const log = b.log().length;
    await move(lab, 'nat-a', '203.0.113.11', '203.0.113.78');
    await until(
      'b follows',
      () =>
        b
          .log()
          .slice(log)
          .some(({ msg }) => msg === 'direct path follows'),
      {
        within: 20_000 * slowness,
        explain: () => lab.state(),
      },
    );
    await replyThat(lab, ping, { came: direct, what: 'without a hop again', since: Date.now() });
    const { longestGapMs } = await ping.finish();
    assert.ok(longestGapMs < (detectionMs + 4000) * slowness, `${longestGapMs.toFixed(0)} ms without a reply`);
  });
});
