// The phases of DMVPN, and changing them while traffic flows.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createLab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat, throughHub } from '#test/support/lab/paths.ts';
import { hubEndpoint, officeA, officeB, pcB, sites } from '#test/support/lab/worlds.ts';
import { until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

test('phases 1, 2 and 3, and live changes between them', async (t) => {
  const lab = await createLab(sites('restricted'));
  t.after(() => lab.dispose());
  const init = ['--pool', '10.77.0.0/24', '--summary', '10.10.0.0/16', '--phase', '2'];
  const overlay = await createOverlay(lab, { init });
  t.after(() => overlay.dispose());
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const a = await overlay.join('a', { prefixes: [officeA] });
  const b = await overlay.join('b', { prefixes: [officeB] });
  await overlay.settled();
  const setPhase = async (phase: number): Promise<void> => {
    const done = await overlay.admin('overlay', 'set', 'phase', String(phase));
    assert.equal(done.code, 0, done.stderr);
  };

  await t.test('phase 2: every prefix is a route of its own, and the spoke resolves at its first packet', async () => {
    await until('b has the route', async () => (await b.host.run(['ip', 'route'])).includes(officeA), {
      within: 20_000,
    });
    assert.ok((await a.host.run(['ip', 'route'])).includes(officeB));
    const indications = (): number => hub.log().filter((line) => line.msg === 'indicating').length;
    const before = indications();
    const ping = lab.host('pc-a').startPing({ to: pcB, rate: 50 });
    await replyThat(lab, ping, { came: (reply) => reply.ttl === 62, what: 'over the two spokes alone' });
    const { lost, replies } = await ping.finish();
    assert.deepEqual(lost, []);
    assert.equal(replies[0]?.ttl, 61, 'the first packet went through the hub');
    assert.equal(indications(), before, 'the hub had nothing to say');
  });

  const ping = a.host.startPing({ to: b.address, rate: 200 });
  await replyThat(lab, ping, { came: direct, what: 'without a hop' });
  await bothDirect(lab, a, b);

  await t.test('to phase 1: everything goes back to the hub', async () => {
    const since = Date.now();
    await setPhase(1);
    const back = await replyThat(lab, ping, { came: throughHub, what: 'through the hub', since });
    await until('no direct tunnel is left', async () => (await a.status()).shortcuts.length === 0, { within: 20_000 });
    const stays = ping.replies().length + 800;
    await until('it goes on', () => ping.replies().length > stays, { within: 30_000 });
    assert.ok(ping.replies().slice(-400).every(throughHub), 'nothing is resolved in phase 1');
    assert.ok(back.at > since);
  });

  await t.test('to phase 3: direct again', async () => {
    const since = Date.now();
    await setPhase(3);
    await replyThat(lab, ping, { came: direct, what: 'without a hop', since });
    await bothDirect(lab, a, b);
  });

  await t.test('no packet was lost by all that', async () => {
    const { lost, sent } = await ping.finish();
    t.diagnostic(`${String(sent)} sent, ${String(lost.length)} lost`);
    assert.deepEqual(lost, []);
  });
});
