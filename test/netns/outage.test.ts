// What is wrong for a long time: wall clocks that are set by an hour, and a registry that is away, with its etcd, for longer than
// anything it said is valid, while agents are started again and machines lose their power.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { createWallClock, type WallClock } from '#test/support/lab/clock.ts';
import { createLab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat } from '#test/support/lab/paths.ts';
import type { Pinging } from '#test/support/lab/ping.ts';
import { cutPower } from '#test/support/lab/reboot.ts';
import { hubEndpoint, officeA, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const holdingSeconds = 6;
const hour = 3600;

test('clocks that jump, and a registry that stays away', async (t) => {
  const lab = await createLab(sites('restricted'));
  t.after(() => lab.dispose());
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-clock-'));
  t.after(() => rm(dir, { recursive: true }));
  const clocks = new Map<string, WallClock>();
  for (const name of ['registry', 'hub', 'a', 'b', 'c']) clocks.set(name, await createWallClock(join(dir, name)));
  const env = (name: string): { readonly env: Readonly<Record<string, string>> } => ({
    env: clocks.get(name)?.env ?? {},
  });
  const overlay = await createOverlay(lab, {
    init: ['--pool', '10.77.0.0/24', '--summary', '10.10.0.0/16', '--holding-time', `${String(holdingSeconds)}s`],
    registryEnv: env('registry').env,
  });
  t.after(() => overlay.dispose());
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint, ...env('hub') });
  const a = await overlay.join('a', { prefixes: [officeA], ...env('a') });
  const b = await overlay.join('b', env('b'));
  const c = await overlay.join('c', env('c'));
  await overlay.settled();
  const explain = (): Promise<string> => lab.state();

  const flows: Pinging[] = [];
  const flow = async (from: Agent, to: Agent): Promise<void> => {
    const ping = from.host.startPing({ to: to.address, rate: 50 });
    await replyThat(lab, ping, { came: direct, what: `without a hop from ${from.name} to ${to.name}` });
    await bothDirect(lab, from, to);
    flows.push(ping);
  };
  const goOn = async (packets: number): Promise<void> => {
    const seen = flows.map((each) => each.replies().length);
    await until(
      'all flows go on',
      () => flows.every((each, index) => each.replies().length >= (seen[index] ?? 0) + packets),
      { within: (packets * 20 + 20_000) * slowness, explain },
    );
  };
  const nothingLost = async (): Promise<void> => {
    for (const each of flows.splice(0)) assert.deepEqual((await each.finish()).lost, []);
  };

  await t.test(
    'the clock of the registry, the hub or a spoke is an hour ahead or behind, over registrations',
    async () => {
      await flow(a, b);
      const registered = async (): Promise<void> => {
        type Node = { readonly name: string; readonly registered: boolean; readonly expiresIn: number };
        const nodes = (await overlay.ask('show', 'nodes')) as readonly Node[];
        for (const { name, registered: is, expiresIn } of nodes) {
          assert.ok(is && expiresIn <= holdingSeconds, `${name}: ${String(is)}, ${String(expiresIn)} s`);
        }
      };
      for (const name of ['registry', 'hub', 'a']) {
        for (const offset of [hour, -hour, 0]) {
          await clocks.get(name)?.set(offset);
          // It is refreshed three times in a holding time.
          await goOn((50 * holdingSeconds) / 3);
          await registered();
        }
      }
      await overlay.settled();
      assert.ok((await a.peer('b'))?.path === 'direct');
      await nothingLost();
      for (const agent of overlay.agents()) {
        assert.equal(
          agent.log().filter(({ msg }) => msg === 'session with the registry is down').length,
          0,
          agent.name,
        );
      }
    },
  );

  await t.test('who starts anew with a clock that is an hour behind has its session and its paths', async () => {
    await clocks.get('b')?.set(-hour);
    await b.stop('SIGKILL');
    await b.start();
    await overlay.settled();
    await bothDirect(lab, a, b);
    await clocks.get('b')?.set(0);
  });

  await flow(a, b);
  await flow(c, b);

  await t.test('the registry and its etcd are away for longer than the holding time', async () => {
    await overlay.registry.stop('SIGKILL');
    await goOn(50 * holdingSeconds * 2);
    assert.equal((await a.peer('b'))?.path, 'direct');
    await c.stop('SIGKILL');
    await goOn(100);
    await c.start();
    await until('the restarted agent is direct as before', async () => (await c.peer('b'))?.path === 'direct', {
      within: 30_000 * slowness,
      explain,
    });
    await goOn(50 * holdingSeconds);
    await nothingLost();
  });

  /** A reply after this moment. */
  const reachable = async (from: Agent, to: Agent, came = (): boolean => true): Promise<void> => {
    const ping = from.host.startPing({ to: to.address, rate: 10 });
    await replyThat(lab, ping, { came, what: `from ${from.name} to ${to.name}`, within: 30_000 });
    await ping.finish();
  };

  await t.test('meanwhile a spoke loses its power, and reaches the hub and who it knew', async () => {
    await cutPower(a);
    await a.start();
    await reachable(a, hub);
    await reachable(a, b);
    await reachable(a, c);
    await reachable(b, a);
  });

  await t.test('meanwhile the hub loses its power, and forwards again', async () => {
    await cutPower(hub);
    await hub.start();
    await until(
      'all spokes have their hub',
      async () => {
        const all = await Promise.all([a, b, c].map((agent) => agent.status()));
        return all.every(({ hubs }) => hubs.some(({ state, active }) => active && state === 'up'));
      },
      { within: 30_000 * slowness, explain },
    );
    for (const agent of [a, b, c]) await reachable(agent, hub);
    await reachable(a, c);
  });

  await t.test('the registry is back: all are registered, and pairs turn direct again', async () => {
    await overlay.registry.start();
    await overlay.settled();
    await flow(a, b);
    await flow(c, b);
    await goOn(50);
    await nothingLost();
  });
});
