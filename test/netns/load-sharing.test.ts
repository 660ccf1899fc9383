// Two hubs of one priority carry a spoke's flows together; one dies, and the flows of the other one do not notice.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createLab } from '#test/support/lab/lab.ts';
import type { Capture } from '#test/support/lab/host.ts';
import { hubEndpoint, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const secondHub = '198.51.100.4';
const detectionMs = 3 * 300;
const servers = Array.from({ length: 16 }, (_, index) => `10.30.0.${String(index + 1)}`);
const servers6 = servers.map((_, index) => `fd77:30::${String(index + 1)}`);

test('flows by two hubs of one priority', async (t) => {
  const world = sites('restricted');
  const lab = await createLab({ ...world, hosts: { ...world.hosts, hub2: { attach: { internet: secondHub } } } });
  t.after(() => lab.dispose());
  const init = ['--pool', '10.77.0.0/24', '--pool6', 'fd77:7::/64', '--phase', '1', '--fallback-time', '5s'];
  const overlay = await createOverlay(lab, { init });
  t.after(() => overlay.dispose());
  await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  await overlay.join('hub2', { role: 'hub', endpoint: `${secondHub}:51820` });
  for (const name of ['hub', 'hub2']) await overlay.ask('hub', 'set', name, 'priority', '5');
  const a = await overlay.join('a', { configure: (yaml) => `${yaml}routing: {loadSharing: flows}\n` });
  const c = await overlay.join('c', { prefixes: ['10.30.0.0/24', 'fd77:30::/64'] });
  for (const address of [...servers, ...servers6]) await c.host.run(['ip', 'address', 'add', address, 'dev', 'lo']);
  await overlay.settled();
  const within = { within: 30_000 * slowness, explain: () => lab.state() };
  const tunnelTo = async (name: string): Promise<string> =>
    (await a.status()).hubs.find(({ node }) => node === name)?.interface ?? '';
  const ways = async (...options: string[]): Promise<string> =>
    (await a.host.run(['ip', ...options, 'route', 'show', 'proto', '109'])).replaceAll(a.host.interfacePrefix, '');
  const shared = async (): Promise<boolean> => {
    const four = /^10\.30\.0\.0\/24 .*\n\s+nexthop dev -h1 .*\n\s+nexthop dev -h2 /m.test(await ways());
    return four && /^fd77:30::\/64 .*\n\s+nexthop .*dev -h1 .*\n\s+nexthop .*dev -h2 /m.test(await ways('-6'));
  };
  await until('both hubs are ways of one route', shared, within);
  assert.equal((await a.host.run(['sysctl', '-n', 'net.ipv4.fib_multipath_hash_policy'])).trim(), '1');
  // What comes back goes by one hub. It is the other one that dies.
  const kept = (await c.status()).hubs.filter(({ active }) => active);
  assert.equal(kept.length, 1, 'nobody shares who was not told to');
  const dying = kept[0]?.node === 'hub2' ? 'hub' : 'hub2';
  const destinations = async (capture: Capture): Promise<Set<string>> =>
    new Set((await capture.stop()).map((line) => / > (\S+): ICMP6?,? echo request/.exec(line)?.[1] ?? ''));

  const pings = [...servers, ...servers6].map((to) => ({ to, ping: a.host.startPing({ to, rate: 10 }) }));
  const all = async (what: string, since: number): Promise<void> => {
    const heard = (): boolean => pings.every(({ ping }) => ping.replies().some(({ at }) => at > since));
    await until(what, heard, within);
  };
  const capture = await a.host.capture(await tunnelTo(dying), 'icmp or icmp6', 'out');
  await all('all are answered', Date.now());
  await all('all are answered again', Date.now() + 500);
  const through = await destinations(capture);
  for (const some of [servers, servers6]) {
    const count = some.filter((server) => through.has(server)).length;
    t.diagnostic(`${String(count)} of ${String(some.length)} by ${dying}`);
    assert.ok(count > 0 && count < some.length, 'both hubs carry flows');
  }

  await t.test('one hub dies', async () => {
    const missing = new Map(pings.map(({ to, ping }) => [to, ping.missing().length] as const));
    const died = Date.now();
    for (const other of ['nat-a', 'c']) await lab.cut(dying, other);
    await all('all are answered by the hub that is left', died + 2 * detectionMs);
    for (const { to, ping } of pings) {
      const lost = ping.missing().length - (missing.get(to) ?? 0);
      if (!through.has(to)) assert.equal(lost, 0, `${to} goes by the other hub`);
      else assert.ok(lost > 0 && lost * 100 < (detectionMs + 400) * slowness, `${to}: ${String(lost)} lost`);
    }
    for (const other of ['nat-a', 'c']) await lab.heal(dying, other);
  });

  await t.test('it comes back', async () => {
    const missing = pings.map(({ ping }) => ping.missing().length);
    await until('both hubs are ways of one route', shared, within);
    await all('all are answered', Date.now() + 1000);
    assert.deepEqual(
      pings.map(({ ping }) => ping.missing().length),
      missing,
      'nothing is lost',
    );
  });
  await Promise.all(pings.map(({ ping }) => ping.finish()));
});
