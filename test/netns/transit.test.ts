// Two hubs, and spokes that reach only one of them each; then no hub at all.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { createLab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat, throughHub } from '#test/support/lab/paths.ts';
import type { Reply } from '#test/support/lab/ping.ts';
import { binary } from '#test/support/lab/service.ts';
import { hubEndpoint, officeA, pcA, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const secondHub = '198.51.100.4';
const throughBoth = (reply: Reply): boolean => reply.ttl === 62;

test('hubs pass on to each other', async (t) => {
  const world = sites('restricted');
  const lab = await createLab({ ...world, hosts: { ...world.hosts, hub2: { attach: { internet: secondHub } } } });
  t.after(() => lab.dispose());
  const init = [
    '--pool',
    '10.77.0.0/24',
    '--pool6',
    'fd77::/64',
    '--summary',
    '10.10.0.0/16',
    '--idle-timeout',
    '600s',
  ];
  const overlay = await createOverlay(lab, { init });
  t.after(() => overlay.dispose());
  const explain = (): Promise<string> => lab.state();
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const hub2 = await overlay.join('hub2', { role: 'hub', endpoint: `${secondHub}:51820` });
  const a = await overlay.join('a', { prefixes: [officeA] });
  const b = await overlay.join('b');
  const c = await overlay.join('c');
  await overlay.settled();

  const hubsOf = async (agent: Agent, wanted: string): Promise<void> => {
    const shown = async (): Promise<boolean> => {
      const { hubs } = await agent.status();
      const sorted = [...hubs].sort((one, other) => (one.node < other.node ? -1 : 1));
      return sorted.map((one) => `${one.node}:${one.state}`).join(' ') === wanted;
    };
    await until(`${agent.name} has ${wanted}`, shown, { within: 30_000 * slowness, explain });
  };
  await hubsOf(hub, 'hub2:up');
  await hubsOf(hub2, 'hub:up');
  for (const agent of [a, b, c]) await hubsOf(agent, 'hub:up hub2:up');

  await t.test('a hub reaches another one by their tunnel', async () => {
    assert.deepEqual((await hub.host.ping({ to: hub2.address, count: 3 })).lost, []);
  });

  // a and c are kept off the direct way.
  await lab.cut('nat-a', 'c');

  await t.test('two spokes without a hub in common reach each other, and a LAN behind one of them', async () => {
    const ping = c.host.startPing({ to: a.address, rate: 100 });
    await replyThat(lab, ping, { came: throughHub, what: 'through one hub' });
    const cut = Date.now();
    await lab.cut('nat-a', 'hub2');
    await lab.cut('c', 'hub');
    await hubsOf(a, 'hub:up hub2:probe');
    await hubsOf(c, 'hub:probe hub2:up');
    const back = await replyThat(lab, ping, { came: throughBoth, what: 'through both hubs', since: cut });
    t.diagnostic(`through both hubs ${String(back.at - cut)} ms after the cuts`);
    const lan = c.host.startPing({ to: pcA, rate: 50 });
    await replyThat(lab, lan, { came: (reply) => reply.ttl === 61, what: 'of the LAN through both hubs' });
    await lan.finish();
    const steady = await c.host.ping({ to: a.address, count: 100, rate: 100 });
    assert.deepEqual(steady.lost, []);
    const six = await c.host.run(['ping', '-6', '-c', '3', '-i', '0.2', '-W', '2', (await a.status()).address6 ?? '']);
    assert.match(six, / 0% packet loss/);

    const healed = Date.now();
    await lab.heal('nat-a', 'hub2');
    await lab.heal('c', 'hub');
    await replyThat(lab, ping, { came: throughHub, what: 'through one hub again', since: healed });
    const lostBefore = ping.missing().length;
    for (const agent of [a, c]) await hubsOf(agent, 'hub:up hub2:up');
    const stays = ping.replies().length + 100;
    await until('it goes on', () => ping.replies().length > stays, { within: 20_000 * slowness, explain });
    assert.equal((await ping.finish()).lost.length, lostBefore, 'nothing is lost on the way back');
  });

  await t.test('what nobody reaches does not go round', async () => {
    const passed = await hub.host.count('forward', `iifname "${hub.multipoint}" ip daddr ${b.address}`);
    await b.stop();
    const places = ['--interface-prefix', b.host.interfacePrefix, '--run-dir', `${b.stateDir}/run`];
    await b.host.run([binary('dmwg'), 'down', '--state-dir', b.stateDir, ...places]);
    const { lost } = await c.host.ping({ to: b.address, count: 20, rate: 50 });
    assert.equal(lost.length, 20);
    assert.ok((await passed.read()).packets <= 20, 'each packet passed a hub once');
  });

  await t.test('without any hub a new pair goes direct', async () => {
    await lab.heal('nat-a', 'c');
    for (const one of [hub, hub2]) await one.stop('SIGKILL');
    for (const [near, far] of [
      ['nat-a', 'hub'],
      ['nat-a', 'hub2'],
      ['c', 'hub'],
      ['c', 'hub2'],
    ] as const) {
      await lab.cut(near, far);
    }
    const ping = c.host.startPing({ to: a.address, rate: 50 });
    await replyThat(lab, ping, { came: direct, what: 'without a hop', within: 60_000 });
    await bothDirect(lab, a, c);
    await ping.finish();
  });
});
