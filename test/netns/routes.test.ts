// Routes of a LAN's routing daemon, for which `ip route` stands in, are announced, carry traffic, and are withdrawn.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { createLab } from '#test/support/lab/lab.ts';
import { hubEndpoint, pcA, sites } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

interface RoutingStatus {
  readonly announced: readonly { readonly prefix: string; readonly origin: string }[];
  readonly withheld: readonly { readonly prefix: string; readonly reason: string }[];
}

const routingOf = async (agent: Agent): Promise<RoutingStatus & { readonly faults: readonly string[] }> => {
  const status = (await agent.status()) as unknown as { routing: RoutingStatus; faults: readonly string[] };
  return { ...status.routing, faults: status.faults };
};

/** Announces nothing by itself, but what its kernel has. */
const importing =
  (routing: string) =>
  (agentYaml: string): string =>
    `${agentYaml.replace(/^ {2}prefixes:\n( {4}- .*\n)+/m, '')}routing: ${routing}\n`;

test('routes of the kernel are announced as they come and go', async (t) => {
  const lab = await createLab(sites('restricted'));
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab);
  t.after(() => overlay.dispose());
  await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const a = await overlay.join('a', {
    prefixes: ['10.10.1.0/24', '10.20.0.0/16'],
    configure: importing('{connected: [office-a], import: [{protocol: ospf}], limit: 50}'),
  });
  const b = await overlay.join('b', { prefixes: ['10.10.2.0/24'] });
  await overlay.settled();
  const explain = (): Promise<string> => lab.state();
  const within = { within: 20_000 * slowness, every: 20, explain };
  const announces = async (prefix: string): Promise<boolean> =>
    (await routingOf(a)).announced.some((one) => one.prefix === prefix);
  const routed = async (prefix: string): Promise<boolean> =>
    (await b.host.run(['ip', 'route', 'show', prefix])).includes('proto 109');
  // The LAN behind pc-a: an address on its loopback.
  await lab.host('pc-a').run(['ip', 'address', 'add', '10.20.5.1/24', 'dev', 'lo']);
  const route = ['10.20.5.0/24', 'via', pcA, 'proto', 'ospf', 'metric', '20'];

  await t.test('a connected network', async () => {
    await until('the office is announced', () => announces('10.10.1.0/24'), within);
    const { lost } = await lab.host('pc-b').ping({ to: pcA, count: 5 });
    assert.deepEqual(lost, []);
  });

  await t.test('a route of OSPF appears at the other spoke, carries traffic, and is withdrawn', async () => {
    const before = performance.now();
    await a.host.run(['ip', 'route', 'add', ...route]);
    await until('b has the route', () => routed('10.20.5.0/24'), within);
    t.diagnostic(`there after ${(performance.now() - before).toFixed(0)} ms`);
    await until(
      'it carries traffic',
      async () => (await lab.host('pc-b').ping({ to: '10.20.5.1', count: 1 })).lost.length === 0,
      within,
    );
    const { lost } = await lab.host('pc-b').ping({ to: '10.20.5.1', count: 20, rate: 50 });
    assert.deepEqual(lost, []);
    await a.host.run(['ip', 'route', 'del', ...route]);
    await until('b has it no longer', async () => !(await routed('10.20.5.0/24')), within);
    assert.ok(!(await announces('10.20.5.0/24')));
  });

  await t.test('a route that flaps is damped, another one is not concerned', async () => {
    const messages = (): number => a.log().filter((line) => line.msg === 'announcing').length;
    const before = messages();
    const flap = [
      'ip',
      'route',
      'replace',
      ...route,
      ';',
      'sleep',
      '0.01;',
      'ip',
      'route',
      'del',
      ...route,
      ';',
      'sleep',
      '0.01',
    ];
    await a.host.run([
      'bash',
      '-c',
      `for i in $(seq 100); do ${flap.join(' ')}; done; ip route add ${route.join(' ')}`,
    ]);
    await until('it is announced once it has come to rest', () => announces('10.20.5.0/24'), {
      ...within,
      within: 60_000 * slowness,
    });
    const times = messages() - before;
    assert.ok(times <= 12, `announced ${String(times)} times`);
    assert.ok(await announces('10.10.1.0/24'));
  });

  await t.test('ten thousand routes hit the limit, say so, and harm no other', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) => {
      return `route add 10.20.${String(128 + (index >> 7))}.${String((index % 128) * 2)}/31 via ${pcA} proto ospf`;
    });
    await a.host.run(['ip', '-force', '-batch', '-'], { input: `${many.slice(0, 128 * 78).join('\n')}\n` });
    await until(
      'there is a fault',
      async () => (await routingOf(a)).faults.some((fault) => /over the limit of 50/.test(fault)),
      within,
    );
    assert.equal((await routingOf(a)).announced.length, 50);
    assert.ok(await announces('10.20.5.0/24'), 'what was announced goes on');
    const { lost } = await lab.host('pc-b').ping({ to: pcA, count: 5 });
    assert.deepEqual(lost, []);
    await a.host.run(['ip', 'route', 'flush', 'proto', 'ospf']);
    await until('all are withdrawn', async () => (await routingOf(a)).announced.length === 1, within);
    assert.deepEqual((await routingOf(a)).faults, []);
  });
});
