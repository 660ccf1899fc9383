// Two hubs: one dies, the other one goes on within the detection time, and the better one returns without a loss.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { createLab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat, throughHub } from '#test/support/lab/paths.ts';
import type { Pinging } from '#test/support/lab/ping.ts';
import { hubEndpoint, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const secondHub = '198.51.100.4';
const detectionMs = 3 * 300;
const fallbackMs = 8000;

test('a hub dies, and comes back', async (t) => {
  const world = sites('restricted');
  const lab = await createLab({ ...world, hosts: { ...world.hosts, hub2: { attach: { internet: secondHub } } } });
  t.after(() => lab.dispose());
  const init = ['--pool', '10.77.0.0/24', '--fallback-time', `${String(fallbackMs / 1000)}s`, '--idle-timeout', '600s'];
  const overlay = await createOverlay(lab, { init });
  t.after(() => overlay.dispose());
  // a and c are kept on the hubs.
  await lab.cut('nat-a', 'c');
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const hub2 = await overlay.join('hub2', { role: 'hub', endpoint: `${secondHub}:51820` });
  const a = await overlay.join('a');
  const b = await overlay.join('b');
  const c = await overlay.join('c');
  await overlay.settled();
  const explain = (): Promise<string> => lab.state();
  const ends = [a, c];
  const all = async (what: string, wanted: string): Promise<void> => {
    await until(what, async () => (await Promise.all(ends.map(hubsOf))).every((found) => found === wanted), {
      within: 30_000 * slowness,
      explain,
    });
  };
  await all('both hubs are connected, the first one is active', 'hub:up* hub2:up');

  const straight = a.host.startPing({ to: b.address, rate: 100 });
  await replyThat(lab, straight, { came: direct, what: 'without a hop' });
  await bothDirect(lab, a, b);
  const around = a.host.startPing({ to: c.address, rate: 100 });
  await replyThat(lab, around, { came: throughHub, what: 'through a hub' });
  const to2 = await a.host.ping({ to: hub2.address, count: 3 });
  assert.deepEqual(to2.lost, [], 'a hub that is not active is reached by its own tunnel');

  await t.test('traffic continues through the other hub within the detection time', async () => {
    const died = Date.now();
    await kill(hub);
    await all('the second hub is active', 'hub:probe hub2:up*');
    const back = await replyThat(lab, around, { came: throughHub, what: 'through the other hub', since: died + 1500 });
    const gap = longestGap(around, died - 1000, back.at);
    t.diagnostic(`${gap.toFixed(0)} ms without a reply`);
    assert.ok(gap > 300 && gap < (detectionMs + 200) * slowness, `${gap.toFixed(0)} ms without a reply`);
    assert.deepEqual(straight.missing(), [], 'the direct tunnel did not notice');
  });

  await t.test('the better hub returns after the fallback time, with nothing lost', async () => {
    const lostBefore = around.missing().length;
    const started = Date.now();
    await hub.start();
    await all('the first hub is connected again', 'hub:up hub2:up*');
    await all('the first hub is active again', 'hub:up* hub2:up');
    assert.ok(Date.now() - started >= fallbackMs, 'it waited');
    const stays = around.replies().length + 200;
    await until('it goes on', () => around.replies().length > stays, { within: 20_000 * slowness, explain });
    assert.equal(around.missing().length, lostBefore);
    assert.deepEqual((await straight.finish()).lost, []);
    assert.equal((await around.finish()).lost.length, lostBefore);
  });

  await t.test('one connection: the tunnel to the other hub goes, and comes when it is needed', async () => {
    const done = await overlay.admin('overlay', 'set', 'maxConnections', '1');
    assert.equal(done.code, 0, done.stderr);
    await all('the second hub has no tunnel', 'hub:up* hub2:down');
    const tunnel = (index: number): string => `${a.host.interfacePrefix}-h${String(index)}`;
    await until(
      'only the tunnel to the first hub is there',
      async () => {
        const links = await a.host.run(['ip', '-o', 'link']);
        return links.includes(tunnel(1)) && !links.includes(tunnel(2));
      },
      { within: 20_000 * slowness, explain },
    );
    const ping = a.host.startPing({ to: c.address, rate: 100 });
    await replyThat(lab, ping, { came: throughHub, what: 'through the first hub' });
    const died = Date.now();
    await kill(hub);
    await all('the second hub is active', 'hub:probe hub2:up*');
    await replyThat(lab, ping, { came: throughHub, what: 'through the second hub', since: died + 1500 });
    await ping.finish();
  });

  await t.test('a hub that is drained is left without a loss, stops unnoticed, and comes back', async () => {
    await hub.start();
    await all('the first hub is active again', 'hub:up* hub2:down');
    await overlay.admin('overlay', 'set', 'maxConnections', '0');
    await all('both are connected', 'hub:up* hub2:up');
    const ping = a.host.startPing({ to: c.address, rate: 200 });
    await replyThat(lab, ping, { came: throughHub, what: 'through the first hub' });
    const drained = await overlay.admin('drain', 'hub');
    assert.equal(drained.code, 0, drained.stderr);
    assert.match(drained.stdout, /safe to stop/);
    assert.match(drained.stderr, /waiting for 3 spokes \(a, b, c\) to leave hub hub/);
    assert.equal(await hubsOf(a), 'hub:down hub2:up*');
    await kill(hub);
    const stays = ping.replies().length + 300;
    await until('it goes on', () => ping.replies().length > stays, { within: 20_000 * slowness, explain });
    assert.deepEqual(ping.missing(), []);
    await hub.start();
    const back = await overlay.admin('drain', 'hub', '--off');
    assert.equal(back.code, 0, back.stderr);
    await all('the first hub is active again', 'hub:up* hub2:up');
    assert.deepEqual((await ping.finish()).lost, []);

    const last = await overlay.admin('drain', 'hub2');
    assert.equal(last.code, 0, last.stderr);
    const none = await overlay.admin('drain', 'hub', '--timeout', '1s');
    assert.equal(none.code, 1);
    assert.match(none.stderr, /hub is draining, but not left yet by 3 spokes \(a, b, c\)/);
    assert.equal((await a.host.ping({ to: c.address, count: 5 })).lost.length, 0);
    for (const name of ['hub', 'hub2']) assert.equal((await overlay.admin('drain', name, '--off')).code, 0);
    await all('both are connected', 'hub:up* hub2:up');
  });

  await t.test('priorities that change while traffic flows', async () => {
    const ping = a.host.startPing({ to: c.address, rate: 100 });
    await replyThat(lab, ping, { came: throughHub, what: 'through the first hub' });
    const done = await overlay.admin('hub', 'set', 'hub', 'priority', '9');
    assert.equal(done.code, 0, done.stderr);
    await all('the second hub is active', 'hub:up hub2:up*');
    const stays = ping.replies().length + 100;
    await until('it goes on', () => ping.replies().length > stays, { within: 20_000 * slowness, explain });
    assert.deepEqual((await ping.finish()).lost, []);
  });
});

/** "hub:up* hub2:probe": the active one has the star. */
async function hubsOf(agent: Agent): Promise<string> {
  const { hubs } = await agent.status();
  const sorted = [...hubs].sort((one, other) => (one.node < other.node ? -1 : 1));
  return sorted.map((hub) => `${hub.node}:${hub.state}${hub.active ? '*' : ''}`).join(' ');
}

/** The agent and its interface go without a word. */
async function kill(hub: Agent): Promise<void> {
  await hub.stop('SIGKILL');
  const daemon = await hub.host.runAny(['pgrep', '-f', '-x', `wireguard-go ${hub.multipoint}`]);
  if (daemon.code === 0) process.kill(Number(daemon.stdout.trim()), 'SIGKILL');
  else await hub.host.run(['ip', 'link', 'delete', 'dev', hub.multipoint]);
}

function longestGap(ping: Pinging, from: number, until: number): number {
  const times = ping
    .replies()
    .map((reply) => reply.at)
    .filter((at) => at >= from && at <= until)
    .sort((one, other) => one - other);
  return times.reduce((most, at, index) => Math.max(most, at - (times[index - 1] ?? at)), 0);
}
