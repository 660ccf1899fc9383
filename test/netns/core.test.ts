// The main job, on whatever WireGuard this kernel has: join, reach the others through the hub from the first packet, then
// directly; lose a direct path, go on through the hub, turn direct again.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import type { Counter, Host } from '#test/support/lab/host.ts';
import { createLab } from '#test/support/lab/lab.ts';
import { bothDirect, countBetween, countForwarded, direct, replyThat, throughHub } from '#test/support/lab/paths.ts';
import { hubEndpoint, officeA, officeB, pcA, pcB, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const idleSeconds = 4 * Math.min(slowness, 5);
const bfdMs = 300 * slowness;
const detectionMs = 3 * bfdMs;
/** Packets a second: of a ping that looks on, and of one that looks closely. */
const calm = 20 / slowness;
const rate = 500 / slowness;
/** Replies that show whether the hub forwards. */
const enough = 100 / Math.min(slowness, 4);

/** An agent takes the kernel's WireGuard where there is one: otherwise this would say nothing about it. */
async function usesKernel({ host, name, multipoint }: Agent): Promise<void> {
  const probe = `${host.otherPrefix}9`;
  const able = (await host.runAny(['ip', 'link', 'add', 'dev', probe, 'type', 'wireguard'])).code === 0;
  if (able) await host.run(['ip', 'link', 'delete', 'dev', probe]);
  const links = await host.run(['ip', '-d', '-o', 'link', 'show', 'dev', multipoint]);
  assert.match(
    links,
    able ? / wireguard / : / tun /,
    `${name} uses ${able ? "the kernel's WireGuard" : 'wireguard-go'}`,
  );
}

test('join, hub path, direct path, cut, heal', async (t) => {
  const lab = await createLab(sites('restricted'));
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab, {
    init: [
      ...['--pool', '10.77.0.0/24', '--pool6', 'fd77:7::/64', '--summary', '10.10.0.0/16'],
      ...['--idle-timeout', `${String(idleSeconds)}s`, '--bfd-interval', `${String(bfdMs)}ms`, '--bfd-multiplier', '3'],
    ],
  });
  t.after(() => overlay.dispose());
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const a = await overlay.join('a', { prefixes: [officeA] });
  const b = await overlay.join('b', { prefixes: [officeB] });
  const c = await overlay.join('c');
  await overlay.settled();
  for (const agent of overlay.agents()) await usesKernel(agent);
  const forwarded = await countForwarded(hub);
  const explain = (): Promise<string> => lab.state();

  /** Waits until no spoke has a direct peer left. */
  const allIdle = async (): Promise<void> => {
    await until(
      'unused direct tunnels are gone',
      async () => {
        const all = await Promise.all([a, b, c].map((agent) => agent.status()));
        return all.every(
          (status) => status.shortcuts.length === 0 && status.peers.every((peer) => peer.path === 'hub'),
        );
      },
      { within: (idleSeconds * 1000 + 30_000) * slowness, every: 250, explain },
    );
  };

  /** Both ways go without the hub after a while, and then the hub forwards none of this many packets. */
  const sparesHub = async (from: Host, to: string): Promise<void> => {
    const ping = from.startPing({ to, rate: rate / 5 });
    const quiet = async (): Promise<boolean> => {
      const [before, seen] = [(await forwarded.read()).packets, ping.replies().length];
      await until('more replies', () => ping.replies().length >= seen + enough, {
        within: 10_000 * slowness,
        explain,
      });
      return (await forwarded.read()).packets === before;
    };
    await until(`the hub forwards nothing of ${from.name} to ${to}`, quiet, { within: 15_000 * slowness, explain });
    assert.deepEqual((await ping.finish()).lost, []);
  };

  await t.test('all six directions work through the hub from the first packet, and turn direct', async () => {
    const pairs: [Agent, Agent][] = [
      [a, b],
      [b, c],
      [c, a],
      [b, a],
      [c, b],
      [a, c],
    ];
    const counters: Counter[] = [];
    for (const [from, to] of pairs) counters.push(await countBetween(hub, from.address, to.address));
    const pings = pairs.map(([from, to]) => from.host.startPing({ to: to.address, rate: calm }));
    for (const ping of pings) await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    for (const [from, to] of pairs.slice(0, 3)) await bothDirect(lab, from, to);
    for (const [index, ping] of pings.entries()) {
      const [from, to] = pairs[index] ?? [a, b];
      const { lost, replies } = await ping.finish();
      assert.deepEqual(lost, [], `${from.name} to ${to.name}`);
      assert.equal(replies[0]?.sequence, 1);
      assert.ok(
        ((await counters[index]?.read())?.packets ?? 0) > 0,
        `${from.name} to ${to.name} began through the hub`,
      );
    }
    for (const [from, to] of pairs) await sparesHub(from.host, to.address);
  });

  await t.test('the IPv6 addresses of the overlay are reached directly too', async () => {
    const ping = a.host.startPing({ to: b.address6, rate: calm });
    await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    assert.deepEqual((await ping.finish()).lost, []);
    await sparesHub(a.host, b.address6);
  });

  await t.test('a LAN host behind one spoke reaches a LAN host behind another, at last without the hub', async () => {
    const pc = lab.host('pc-a');
    const ping = pc.startPing({ to: pcB, rate: calm });
    // 64 less the two spokes; the hub would take one more.
    await replyThat(lab, ping, { came: (reply) => reply.ttl === 62, what: 'over the two spokes alone' });
    assert.deepEqual((await ping.finish()).lost, []);
    await sparesHub(pc, pcB);
    await sparesHub(lab.host('pc-b'), pcA);
  });

  await t.test(
    'unused direct tunnels go, and the way there and back loses nothing at 500 packets a second',
    async () => {
      await allIdle();
      const ping = a.host.startPing({ to: b.address, rate });
      const first = await replyThat(lab, ping, { came: throughHub, what: 'through the hub' });
      assert.equal(first.sequence, 1);
      const switched = await replyThat(lab, ping, { came: direct, what: 'without a hop' });
      await bothDirect(lab, a, b);
      t.diagnostic(`direct ${String(Math.round(switched.at - first.at))} ms after the first reply`);
      const cleared = Date.now();
      assert.equal((await overlay.admin('clear', 'nhrp', '--all')).code, 0);
      const back = await replyThat(lab, ping, { came: throughHub, what: 'through the hub again', since: cleared });
      await replyThat(lab, ping, { came: direct, what: 'without a hop again', since: back.at });
      await bothDirect(lab, a, b);
      const result = await ping.finish();
      assert.deepEqual(result.lost, [], `of ${String(result.sent)}`);
      assert.ok(result.sent > rate / 2, `only ${String(result.sent)} sent`);
    },
  );

  await t.test('traffic rarer than the idle timeout goes to the hub and back without loss', async () => {
    const ping = a.host.startPing({ to: b.address, rate: calm });
    await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    await ping.finish();
    await allIdle();
    const later = a.host.startPing({ to: b.address, rate: calm });
    await replyThat(lab, later, { came: direct, what: 'without a hop' });
    const result = await later.finish();
    assert.deepEqual(result.lost, []);
    assert.ok(result.replies[0] !== undefined && throughHub(result.replies[0]));
  });

  await t.test('a direct path that is cut costs the detection time, and comes back without loss', async () => {
    const ping = a.host.startPing({ to: b.address, rate });
    await replyThat(lab, ping, { came: direct, what: 'without a hop' });
    await bothDirect(lab, a, b);
    await until('BFD is as fast as configured', () => ping.replies().length > rate * 2, { within: 20_000 * slowness });
    const droppedBefore = await lab.dropped();
    await lab.cut('nat-a', 'nat-b');
    const cutAt = Date.now();
    const rescued = await replyThat(lab, ping, { came: throughHub, what: 'through the hub', since: cutAt });
    assert.ok((await lab.dropped()) > droppedBefore, 'the cut bit');
    const before = ping
      .replies()
      .filter((reply) => reply.at < rescued.at && direct(reply))
      .at(-1);
    const outageMs = rescued.at - (before?.at ?? 0);
    t.diagnostic(`cut: ${String(Math.round(outageMs))} ms without a reply; detection time ${String(detectionMs)} ms`);
    assert.ok(outageMs <= detectionMs + 200 * slowness, `${String(outageMs)} ms without a reply`);
    await until('it stays on the hub', () => ping.replies().length > rescued.sequence + rate, {
      within: 20_000 * slowness,
    });
    const firstAfter = rescued.sequence;
    await lab.heal('nat-a', 'nat-b');
    const healedAt = Date.now();
    const again = await replyThat(lab, ping, { came: direct, what: 'without a hop', since: healedAt, within: 90_000 });
    t.diagnostic(`direct again ${String(Math.round(again.at - healedAt))} ms after healing`);
    await bothDirect(lab, a, b);
    const { lost } = await ping.finish();
    t.diagnostic(`lost ${String(lost.length)} packets at ${String(rate)}/s`);
    assert.ok(lost.length > 0, 'the cut lost nothing');
    assert.deepEqual(
      lost.filter((sequence) => sequence > firstAfter),
      [],
      'lost after the rescue',
    );
    const hole = (lost.at(-1) ?? 0) - (lost[0] ?? 0) + 1;
    assert.equal(hole, lost.length, `one hole: ${lost.join(' ')}`);
  });
});
