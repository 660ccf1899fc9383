// Full tunnel: a spoke's other traffic leaves the overlay through a hub or another spoke, and not otherwise.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import type { Host } from '#test/support/lab/host.ts';
import { createLab } from '#test/support/lab/lab.ts';
import { binary } from '#test/support/lab/service.ts';
import { hubEndpoint, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const halves = ['0.0.0.0/1', '128.0.0.0/1'];
const halves6 = ['::/1', '8000::/1'];
/** A server that is no node. */
const world = '198.51.100.40';
const world6 = '2001:db8:40::1';

const masquerading = (agentYaml: string): string => `${agentYaml}routing: {masquerade: true}\n`;

interface Exit {
  readonly node: string;
  readonly interface: string | null;
  readonly direct: boolean;
}

async function exitOf(agent: Agent): Promise<Exit | null> {
  return ((await agent.status()) as unknown as { routing: { exit: Exit | null } }).routing.exit;
}

const reaches = async (host: Host, to: string): Promise<boolean> =>
  (await host.ping({ to, count: 1 })).lost.length === 0;

test('a spoke leaves the overlay through a hub or another spoke, with a kill switch', async (t) => {
  const plan = sites('restricted');
  const lab = await createLab({ ...plan, hosts: { ...plan.hosts, world: { attach: { internet: world } } } });
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab);
  t.after(() => overlay.dispose());
  await overlay.join('hub', {
    role: 'hub',
    endpoint: hubEndpoint,
    prefixes: halves,
    configure: masquerading,
  });
  const a = await overlay.join('a', { prefixes: ['10.10.1.0/24'] });
  await overlay.settled();
  const explain = async (): Promise<string> =>
    `${await lab.state()}\n${await a.host.run(['ip', 'rule'])}\n${await a.host.run(['nft', 'list', 'ruleset'])}`;
  const within = { within: 20_000 * slowness, every: 100, explain };
  const dmwg = async (...words: string[]): Promise<string> => {
    const [command = '', ...rest] = words;
    const done = await a.host.runAny([binary('dmwg'), command, ...rest, '--state-dir', overlay.nodeDir('a')]);
    assert.equal(done.code, 0, done.stderr);
    return done.stdout;
  };
  const peers = await lab.host('world').count('input', 'icmp type echo-request ip saddr 203.0.113.11');
  /** Whether what a sends to the world leaves past the tunnels, by its NAT. */
  const leaks = async (): Promise<boolean> => {
    const before = (await peers.read()).packets;
    await a.host.ping({ to: world, count: 3, rate: 20 });
    return (await peers.read()).packets > before;
  };

  await t.test('without an exit, traffic goes past the overlay', async () => {
    assert.ok(await leaks());
    assert.match(await dmwg('trace', world), /not by the overlay/);
  });

  await t.test('through the hub', async () => {
    assert.match(await dmwg('exit', 'set', 'hub', '--kill-switch'), /Leaving by hub/);
    await until('the exit is there', async () => (await exitOf(a))?.node === 'hub', within);
    await until('nothing goes past it', async () => !(await leaks()) && (await reaches(a.host, world)), within);
    assert.match(await dmwg('trace', world), /out of the overlay by hub/);
    assert.ok(await reaches(lab.host('pc-a'), world), 'so does the LAN behind the spoke');
    assert.ok((await a.status()).registry.connected);
  });

  await t.test('nothing leaks when the agent is killed, nor when the hub cannot be reached', async () => {
    await a.stop('SIGKILL');
    assert.ok(await reaches(a.host, world), 'the data plane goes on');
    await lab.cut('nat-a', 'hub');
    assert.ok(!(await leaks()));
    assert.ok(!(await reaches(a.host, world)));
    await lab.heal('nat-a', 'hub');
    await a.start();
    await until('it is back', () => reaches(a.host, world), within);
    assert.ok(!(await leaks()));
    await until('the session too', async () => (await a.status()).registry.connected, within);
  });

  await t.test('a network that is to be reached directly', async () => {
    await dmwg('exit', 'set', 'hub', '--kill-switch', '--direct', `${world}/32`);
    await until('the world is reached past the tunnels', leaks, within);
    await dmwg('exit', 'set', 'hub', '--kill-switch');
    await until('and no longer', async () => !(await leaks()), within);
  });

  await t.test('off: everything is as it was', async () => {
    await dmwg('exit', 'off');
    await until('traffic goes past the overlay', leaks, within);
    assert.equal(await exitOf(a), null);
  });

  await t.test('down takes everything away', async () => {
    await dmwg('exit', 'set', 'hub', '--kill-switch');
    await until('nothing goes past it', async () => !(await leaks()), within);
    await dmwg('down');
    assert.ok(await leaks());
    assert.doesNotMatch(await a.host.run(['ip', 'rule']), /proto(col)? 109/);
    assert.equal(await a.host.run(['nft', 'list', 'tables']), '');
  });
});

test('a spoke leaves the overlay through another spoke: by the hub at first, then directly', async (t) => {
  const plan = sites('restricted');
  const lab = await createLab({ ...plan, hosts: { ...plan.hosts, world: { attach: { internet: world } } } });
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab);
  t.after(() => overlay.dispose());
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const c = await overlay.join('c', { prefixes: [...halves, ...halves6], configure: masquerading });
  // Behind the exit, in no network of the overlay.
  await c.host.run(['ip', 'address', 'add', `${world6}/128`, 'dev', 'lo']);
  const a = await overlay.join('a', {
    prefixes: ['10.10.1.0/24'],
    configure: (agentYaml) => `${agentYaml}exit: c\n`,
  });
  await overlay.settled();
  const explain = async (): Promise<string> => `${await lab.state()}\n${await hub.host.run(['ip', 'rule'])}`;
  const within = { within: 20_000 * slowness, every: 100, explain };
  const byExit = await lab.host('world').count('input', 'icmp type echo-request ip saddr 198.51.100.7');
  const relayed = await hub.host.count('forward', `ip daddr ${world}`);

  await until('the world is reached', () => reaches(a.host, world), within);
  assert.ok((await byExit.read()).packets > 0);
  const ping = a.host.startPing({ to: world, rate: 20 });
  await until('the exit is reached directly', async () => (await exitOf(a))?.direct === true, within);
  await until(
    'the hub relays nothing more',
    async () => {
      const [before, seen] = [(await relayed.read()).packets, ping.replies().length];
      await until('more replies', () => ping.replies().length > seen + 10, within);
      return (await relayed.read()).packets === before;
    },
    within,
  );
  assert.deepEqual((await ping.finish()).lost, []);
  assert.ok(await reaches(lab.host('pc-a'), world));
  assert.ok(await reaches(a.host, world6), 'IPv6 likewise');
  // The hub's own way to the world is not touched.
  assert.ok(await reaches(hub.host, world));
  const direct = await lab
    .host('world')
    .count('input', `icmp type echo-request ip saddr ${hubEndpoint.split(':')[0] ?? ''}`);
  await hub.host.ping({ to: world, count: 1 });
  assert.equal((await direct.read()).packets, 1);

  await t.test('an exit that the hubs like better changes nothing, and is not used instead', async () => {
    const better = halves.map((half) => `{prefix: ${half}, preference: 200}`).join();
    await overlay.join('b', { configure: (yaml) => `${yaml}routing: {masquerade: true, static: [${better}]}\n` });
    for (const name of ['b', 'c']) await overlay.ask('prefix', 'allow', name, '0.0.0.0/0', '--shared');
    const known = async (): Promise<boolean> => {
      const routes = (await overlay.ask('show', 'routes')) as readonly {
        node: string;
        prefix: string;
        state: string;
      }[];
      return routes.some(({ node, prefix, state }) => node === 'b' && prefix === '128.0.0.0/1' && state === 'active');
    };
    await until('b is the best exit', known, within);
    const byOther = await lab.host('world').count('input', 'icmp type echo-request ip saddr 203.0.113.12');
    // It forgets its direct tunnels.
    await a.stop();
    await rm(join(overlay.nodeDir('a'), 'state.json'));
    await a.start();
    await until('c is the exit again, without traffic', async () => (await exitOf(a))?.direct === true, within);
    assert.ok(await reaches(a.host, world));
    assert.equal((await byOther.read()).packets, 0);
  });
});
