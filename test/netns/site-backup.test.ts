// Two routers of one site announce its LAN: the better one carries it, its death moves it to the other one, and it comes back.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createLab } from '#test/support/lab/lab.ts';
import { hubEndpoint, officeA, pcA, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

interface RouteView {
  readonly prefix: string;
  readonly node: string;
  readonly state: string;
  readonly reason: string;
}

test('the LAN of a site with two routers moves to the backup, and back', async (t) => {
  const world = sites('restricted');
  const a2 = { attach: { 'home-a': '192.168.11.3/24', 'office-a': '10.10.1.2/24' }, gateway: '192.168.11.1' };
  const lab = await createLab({ ...world, hosts: { ...world.hosts, a2 } });
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab, { init: ['--pool', '10.77.0.0/24', '--phase', '1'] });
  t.after(() => overlay.dispose());
  await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const preferring = (preference: number, other: string) => (yaml: string) =>
    `${yaml.replace(/^ {2}prefixes:\n( {4}- .*\n)+/m, '')}routing: {site: [${other}], static: [{prefix: ${officeA}, preference: ${String(preference)}}]}\n`;
  const a = await overlay.join('a', { prefixes: [officeA], configure: preferring(200, 'a2') });
  await overlay.join('a2', { configure: preferring(100, 'a') });
  const c = await overlay.join('c');
  await overlay.settled();
  const within = { within: 30_000 * slowness, every: 50, explain: () => lab.state() };
  const routes = async (): Promise<string[]> => {
    const all = (await overlay.ask('show', 'routes')) as readonly RouteView[];
    return all.filter(({ prefix }) => prefix === officeA).map(({ node, state }) => `${node} ${state}`);
  };
  const become = async (what: string, wanted: readonly string[]): Promise<void> => {
    await until(what, async () => (await routes()).join() === wanted.join(), within);
  };
  // What the LAN sends to the overlay goes by the router that carries it, as with VRRP.
  const leaveBy = async (gateway: string): Promise<void> => {
    await lab.host('pc-a').run(['ip', 'route', 'replace', 'default', 'via', gateway]);
  };

  await t.test('the second router is refused, with the reason, until both may share', async () => {
    await become('the backup is rejected', ['a active', 'a2 rejected']);
    const why = (await overlay.ask('why', officeA)) as readonly RouteView[];
    assert.match(why.find(({ node }) => node === 'a2')?.reason ?? '', /neither the token of the node nor a rule/);
    await overlay.ask('prefix', 'allow', 'a', officeA, '--shared');
    await overlay.ask('prefix', 'allow', 'a2', officeA, '--shared');
    await become('both are there', ['a active', 'a2 backup']);
  });

  const pinging = c.host.startPing({ to: pcA, rate: 50 });
  const answered = async (what: string, after: number): Promise<number> => {
    await until(what, () => pinging.replies().some(({ at }) => at > after), within);
    return pinging.replies().find(({ at }) => at > after)?.at ?? 0;
  };
  await answered('it carries traffic', 0);

  await t.test('the better router dies: the hub gives the LAN to the other one by itself', async () => {
    const died = Date.now();
    await a.stop('SIGKILL');
    await leaveBy('10.10.1.2');
    t.diagnostic(`back after ${((await answered('the backup carries it', died + 300)) - died).toFixed(0)} ms`);
    await become('the registry knows it', ['a2 active', 'a backup']);
  });

  await t.test('it comes back, and takes the LAN again', async () => {
    await a.start();
    await become('the better one is active', ['a active', 'a2 backup']);
    await leaveBy('10.10.1.1');
    await answered('it carries traffic again', Date.now() + 4000);
  });
  await t.test(
    'it loses its uplink alone: it leaves the routes of the overlay to the other one, and takes them again',
    async () => {
      const overlays = async (): Promise<boolean> =>
        (await a.host.run(['ip', 'route', 'show', 'proto', '109'])).includes('10.77.0.0/24');
      assert.ok(await overlays());
      await a.host.run(['nft', '-f', '-'], { input: noUplink });
      await until('its routes of the overlay are gone', async () => !(await overlays()), within);
      await leaveBy('10.10.1.2');
      await answered('the backup carries it', Date.now() + 500);
      await a.host.run(['nft', 'delete', 'table', 'inet', 'labcut']);
      await until('they are back', overlays, within);
      await become('the better one is active', ['a active', 'a2 backup']);
      await leaveBy('10.10.1.1');
      await answered('it carries traffic again', Date.now() + 4000);
    },
  );
  await pinging.finish();
});

const noUplink = `table inet labcut {
  chain in { type filter hook input priority -400; iifname "home-a" drop; }
  chain out { type filter hook output priority -400; oifname "home-a" drop; }
}
`;
