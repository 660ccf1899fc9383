// Two uplinks of one priority, and two hubs of one priority: both links carry flows, and each stands in for the other.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createLab } from '#test/support/lab/lab.ts';
import { emptyFootprint, footprintOf } from '#test/support/lab/footprint.ts';
import { silence } from '#test/support/lab/nat.ts';
import { binary } from '#test/support/lab/service.ts';
import { hubEndpoint, twoUplinks } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const secondHub = '198.51.100.4';
const servers = Array.from({ length: 16 }, (_, index) => `10.30.0.${String(index + 1)}`);
const settings = [
  'uplinks: [{ interface: fibre, priority: 0 }, { interface: mobile, priority: 0, gateway: 192.168.12.1 }]',
  'routing: { loadSharing: flows }',
  '',
].join('\n');

test('flows by two uplinks', async (t) => {
  const hosts = { ...twoUplinks.hosts, hub2: { attach: { internet: secondHub } } };
  const lab = await createLab({ ...twoUplinks, hosts });
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab, { init: ['--pool', '10.77.0.0/24', '--phase', '1'] });
  t.after(() => overlay.dispose());
  await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  await overlay.join('hub2', { role: 'hub', endpoint: `${secondHub}:51820` });
  for (const name of ['hub', 'hub2']) await overlay.ask('hub', 'set', name, 'priority', '5');
  const branch = await overlay.join('branch', { configure: (yaml) => yaml + settings });
  const c = await overlay.join('c', { prefixes: ['10.30.0.0/24'] });
  for (const address of servers) await c.host.run(['ip', 'address', 'add', address, 'dev', 'lo']);
  await overlay.settled();
  const on = async (what: string, wanted: string): Promise<void> => {
    const look = async (): Promise<boolean> => {
      const { hubs } = await branch.status();
      return (
        hubs
          .map(({ uplink, active }) => `${uplink ?? ''}${active ? '*' : ''}`)
          .sort()
          .join(' ') === wanted
      );
    };
    await until(what, look, { within: 40_000 * slowness, explain: () => lab.state() });
  };
  await on('each hub is reached by another uplink, and both carry traffic', 'fibre* mobile*');

  const links = ['fibre', 'mobile'];
  // Outer packets of ours, which are larger than those of BFD.
  const counters = await Promise.all(
    links.map((link) => branch.host.count('output', `oifname "${link}" udp length > 900`)),
  );
  const answered = async (): Promise<boolean> => {
    const pings = servers.map((to) => branch.host.ping({ to, rate: 10, count: 3, size: 1000 }));
    return (await Promise.all(pings)).every(({ replies }) => replies.length > 0);
  };
  assert.ok(await answered());
  const sent = await Promise.all(counters.map(async (counter) => (await counter.read()).packets));
  t.diagnostic(links.map((link, index) => `${String(sent[index])} packets by ${link}`).join(', '));
  for (const packets of sent) assert.ok(packets > 0, 'both links carry flows');

  await silence(lab.host('nat-mobile'));
  await on('both hubs are reached by what is left', 'fibre* fibre*');
  await until('all are answered', answered, { within: 30_000 * slowness, explain: () => lab.state() });

  await t.test('an agent that is killed and started again leaves the tunnels where they are', async () => {
    const ping = branch.host.startPing({ to: c.address, rate: 100 / slowness });
    const heard = async (what: string): Promise<void> => {
      const enough = ping.replies().length + 50;
      await until(what, () => ping.replies().length > enough, {
        within: 20_000 * slowness,
        explain: () => lab.state(),
      });
    };
    await heard('it is answered');
    await branch.stop('SIGKILL');
    await heard('it is answered without an agent');
    await branch.start();
    await on('both hubs are reached by what is left', 'fibre* fibre*');
    await heard('it is answered with the new one');
    assert.deepEqual((await ping.finish()).lost, []);
  });

  await t.test('nothing is left of it on the host', async () => {
    const places = ['--interface-prefix', branch.host.interfacePrefix, '--run-dir', `${branch.stateDir}/run`];
    await branch.host.run([binary('dmwg'), 'down', '--state-dir', branch.stateDir, ...places]);
    assert.deepEqual(await footprintOf(branch.host), emptyFootprint);
  });
});
