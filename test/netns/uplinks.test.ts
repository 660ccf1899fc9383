// A branch with two Internet links, each behind a NAT of its own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat, throughHub } from '#test/support/lab/paths.ts';
import type { Pinging } from '#test/support/lab/ping.ts';
import { silence, unsilence } from '#test/support/lab/nat.ts';
import { hubAddress, hubEndpoint, twoUplinks } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

const detectionMs = 3 * 300;
const fallbackMs = 8000;
const uplinks = readFileSync(join(import.meta.dirname, '../../deploy/examples/agent/uplinks.yaml'), 'utf8');

/** An eighth of the packets between two places of the internet is lost: too few for BFD to go Down. */
async function lose(lab: Lab, one: string, other: string): Promise<void> {
  const rules = [
    [one, other],
    [other, one],
  ].map(([from = '', to = '']) => `ip saddr ${from} ip daddr ${to} numgen random mod 8 < 1 drop`);
  const chain = ['chain forward {', 'type filter hook forward priority -5;', ...rules, '}'];
  await lab.host('core').run(['nft', '-f', '-'], { input: ['table inet lossy {', ...chain, '}', ''].join('\n') });
}

test('a branch with two uplinks', async (t) => {
  const lab = await createLab(twoUplinks);
  t.after(() => lab.dispose());
  // As DHCP clients do.
  await lab
    .host('branch')
    .run(['ip', 'route', 'add', 'default', 'via', '192.168.12.1', 'dev', 'mobile', 'metric', '200']);
  const init = ['--pool', '10.77.0.0/24', '--fallback-time', `${String(fallbackMs / 1000)}s`, '--idle-timeout', '600s'];
  const overlay = await createOverlay(lab, { init });
  t.after(() => overlay.dispose());
  // c is kept on the hub.
  for (const nat of ['nat-fibre', 'nat-mobile']) await lab.cut(nat, 'c');
  await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const branch = await overlay.join('branch', { configure: (yaml) => yaml + uplinks });
  const b = await overlay.join('b');
  const c = await overlay.join('c');
  await overlay.settled();
  const on = (what: string, wanted: string, within?: number): Promise<void> =>
    isOn(lab, branch, { what, wanted, within });
  await on('both uplinks reach the hub, and all goes by the first', 'fibre:up* mobile:up, hub by fibre');

  const around = branch.host.startPing({ to: c.address, rate: 500 / slowness });
  await replyThat(lab, around, { came: throughHub, what: 'through the hub' });
  const straight = branch.host.startPing({ to: b.address, rate: 500 / slowness });
  await replyThat(lab, straight, { came: direct, what: 'without a hop' });
  await bothDirect(lab, branch, b);
  const losses = (): number[] => [around, straight].map((ping) => ping.missing().length);

  await t.test('the first one fails: everything goes by the other within the detection time', async () => {
    const cut = Date.now();
    await silence(lab.host('nat-fibre'));
    await on('all goes by the other', 'fibre:down mobile:up*, hub by mobile');
    for (const [name, ping] of [
      ['by the hub', around],
      ['to b', straight],
    ] as const) {
      const back = await replyThat(lab, ping, { came: () => true, what: `after the cut, ${name}`, since: cut + 1500 });
      const gap = longestGap(ping, cut - 500, back.at);
      t.diagnostic(`${name}: ${gap.toFixed(0)} ms without a reply`);
      assert.ok(gap > 300 && gap < (detectionMs + 1100) * slowness, `${name}: ${gap.toFixed(0)} ms without a reply`);
    }
    await replyThat(lab, straight, { came: direct, what: 'without a hop by the other uplink', since: cut });
    await until('the registry is reached again', async () => (await branch.status()).registry.connected, {
      within: 20_000 * slowness,
      explain: () => lab.state(),
    });
  });

  await t.test('it comes back after the fallback time, and nothing is lost', async () => {
    await bothDirect(lab, branch, b);
    const before = losses();
    const healed = Date.now();
    await unsilence(lab.host('nat-fibre'));
    await on('all goes by the first again', 'fibre:up* mobile:up, hub by fibre');
    assert.ok(Date.now() - healed > fallbackMs - 1000, 'it waited');
    await replyThat(lab, straight, { came: direct, what: 'without a hop by the first uplink', since: Date.now() });
    await bothDirect(lab, branch, b);
    assert.deepEqual(losses(), before);
  });

  await t.test('the uplink that nothing goes by fails, and nobody notices', async () => {
    const before = losses();
    await silence(lab.host('nat-mobile'));
    await on('the second is down', 'fibre:up* mobile:down, hub by fibre');
    await unsilence(lab.host('nat-mobile'));
    await on('the second is up', 'fibre:up* mobile:up, hub by fibre');
    assert.deepEqual(losses(), before);
  });

  await t.test('another address on either link', async () => {
    await readdress(t, lab, branch, 'mobile', { from: '192.168.12.2', to: '192.168.12.77', gateway: '192.168.12.1' });
    await readdress(t, lab, branch, 'fibre', { from: '192.168.11.2', to: '192.168.11.77', gateway: '192.168.11.1' });
    const changed = Date.now();
    await replyThat(lab, around, { came: throughHub, what: 'through the hub from the new address', since: changed });
    await replyThat(lab, straight, { came: direct, what: 'without a hop from the new address', since: changed });
    await on('both reach the hub', 'fibre:up* mobile:up, hub by fibre');
  });

  await t.test('a direct path that loses packets is left for the hub', async () => {
    await replyThat(lab, straight, { came: direct, what: 'without a hop', since: Date.now() });
    await lose(lab, '203.0.113.11', '203.0.113.13');
    const what = 'b is not reached directly, as that path loses packets';
    const avoided = async (): Promise<boolean> => /not used: it loses/.test((await branch.peer('b'))?.reason ?? '');
    await until(what, avoided, { within: 120_000 * slowness, every: 100, explain: () => lab.state() });
    // Each end judges for itself, and b decides by which way its replies go.
    await replyThat(lab, straight, { came: throughHub, what: 'through the hub', since: Date.now(), within: 120_000 });
    assert.equal((await branch.peer('b'))?.path, 'hub');
    await lab.host('core').run(['nft', 'delete', 'table', 'inet', 'lossy']);
  });

  await t.test('an uplink that loses packets is left for the other', async () => {
    await lose(lab, '203.0.113.11', hubAddress);
    await on('all goes by the second', 'fibre:up mobile:up*, hub by mobile', 120_000);
    await lab.host('core').run(['nft', 'delete', 'table', 'inet', 'lossy']);
  });
  for (const ping of [around, straight]) await ping.finish();
});

/** A DHCP server gives it another one: the old address goes with its routes, the new one brings them. */
async function readdress(
  t: TestContext,
  lab: Lab,
  branch: Agent,
  device: string,
  { from, to, gateway }: { readonly from: string; readonly to: string; readonly gateway: string },
): Promise<void> {
  const metric = device === 'mobile' ? ['metric', '200'] : [];
  const input = [
    `address del ${from}/24 dev ${device}`,
    `address add ${to}/24 dev ${device}`,
    ['route', 'replace', 'default', 'via', gateway, 'dev', device, ...metric].join(' '),
    '',
  ].join('\n');
  await lab.host('branch').run(['ip', '-force', '-batch', '-'], { input });
  await until(`the agent knows ${to}`, async () => JSON.stringify((await branch.status()).uplinks).includes(to), {
    within: 10_000 * slowness,
    explain: () => lab.state(),
  });
  t.diagnostic(`${device} has ${to}`);
}

interface Wanted {
  readonly what: string;
  readonly wanted: string;
  readonly within?: number | undefined;
}

/** "fibre:up* mobile:down, hub by mobile": the active one has the star. */
async function isOn(lab: Lab, branch: Agent, { what, wanted, within = 40_000 }: Wanted): Promise<void> {
  let found = '';
  const look = async (): Promise<boolean> => {
    const status = await branch.status();
    const links = status.uplinks.map(({ name, state, active }) => `${name}:${state}${active ? '*' : ''}`).join(' ');
    found = [links, ...status.hubs.map(({ node, uplink }) => `${node} by ${uplink ?? 'none'}`)].join(', ');
    return found === wanted;
  };
  const explain = async (): Promise<string> => `${found}\n${await lab.state()}`;
  await until(what, look, { within: within * slowness, every: 20, explain });
}

function longestGap(ping: Pinging, from: number, until: number): number {
  const times = ping
    .replies()
    .map((reply) => reply.at)
    .filter((at) => at >= from && at <= until)
    .sort((one, other) => one - other);
  return times.reduce((most, at, index) => Math.max(most, at - (times[index - 1] ?? at)), 0);
}
