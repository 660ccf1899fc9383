import { readdir, readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Agent } from '#test/support/lab/agent.ts';
import type { Host } from '#test/support/lab/host.ts';
import { bothDirect } from '#test/support/lab/paths.ts';
import { createStaticTunnel, type StaticTunnel } from '#test/support/lab/static.ts';
import { until } from '#test/support/poll.ts';
import { formatRows, median } from './table.ts';
import { type BenchWorld, publicAddress, withWorld } from './world.ts';

const runs = 5;
const secondsOfRun = 3;
const mtu = 1420;

const report = z.object({ end: z.object({ sum_received: z.object({ bits_per_second: z.number() }) }) });

/** TCP between two spokes on the internet, dmwg and static WireGuard in turns, and what the agents need meanwhile. */
export async function throughput(): Promise<string> {
  return withWorld({ init: ['--pool', '10.77.0.0/24'] }, async (world) => {
    const { a, c, d } = world.spokes;
    const straight = { dmwg: [] as number[], static: [] as number[] };
    const around = { dmwg: [] as number[], static: [] as number[] };
    const cpu = { spoke: [] as number[], hub: [] as number[] };

    const pair = await staticPair(c.host, d.host);
    await c.host.ping({ to: d.address, count: 3 });
    await bothDirect(world.lab, c, d);
    for (let index = 0; index < runs; index += 1) {
      const load = await whileBusy(c, () => measure(d.host, c.host, d.address));
      straight.dmwg.push(load.result);
      cpu.spoke.push(load.percent);
      straight.static.push(await measure(d.host, c.host, '10.66.1.2'));
    }
    for (const tunnel of pair) await tunnel.remove();

    await overHub(world);
    const star = await staticStar(world);
    for (let index = 0; index < runs; index += 1) {
      const load = await whileBusy(world.hub, () => measure(a.host, c.host, a.address));
      around.dmwg.push(load.result);
      cpu.hub.push(load.percent);
      around.static.push(await measure(a.host, c.host, '10.66.0.3'));
    }
    for (const tunnel of star) await tunnel.remove();

    const ratio = ({ dmwg, static: by }: { dmwg: number[]; static: number[] }): string =>
      `dmwg / static: ${(median(dmwg) / median(by)).toFixed(3)}\n`;
    return [
      formatRows('TCP between two spokes, direct', [
        { what: 'dmwg', values: straight.dmwg, unit: 'Mbit/s', digits: 0 },
        { what: 'static WireGuard', values: straight.static, unit: 'Mbit/s', digits: 0 },
      ]),
      ratio(straight),
      formatRows('TCP between two spokes, through the hub', [
        { what: 'dmwg', values: around.dmwg, unit: 'Mbit/s', digits: 0 },
        { what: 'static WireGuard', values: around.static, unit: 'Mbit/s', digits: 0 },
      ]),
      ratio(around),
      formatRows('CPU of the agent at full rate', [
        { what: 'spoke', values: cpu.spoke, unit: '% of a core', digits: 2 },
        { what: 'hub', values: cpu.hub, unit: '% of a core', digits: 2 },
      ]),
    ].join('');
  });
}

/** Keeps a and c on the hub: nothing gets from one public address to the other. */
async function overHub({ lab, spokes: { a, c } }: BenchWorld): Promise<void> {
  await lab.cut('nat-a', 'c');
  await c.host.ping({ to: a.address, count: 3 });
  const given = async (): Promise<boolean> => (await c.peer('a'))?.state === 'failed';
  await until('a and c stay on the hub', given, { within: 60_000, every: 250, explain: () => lab.state() });
}

async function staticPair(one: Host, two: Host): Promise<StaticTunnel[]> {
  const first = await createStaticTunnel(one, { address: '10.66.1.1/24', port: 51_911, mtu });
  const second = await createStaticTunnel(two, { address: '10.66.1.2/24', port: 51_912, mtu });
  await first.addPeer({
    publicKey: second.publicKey,
    allowedIps: ['10.66.1.2/32'],
    endpoint: `${publicAddress.d}:51912`,
  });
  await second.addPeer({
    publicKey: first.publicKey,
    allowedIps: ['10.66.1.1/32'],
    endpoint: `${publicAddress.c}:51911`,
  });
  await one.ping({ to: '10.66.1.2', count: 3 });
  return [first, second];
}

async function staticStar({ hub, spokes: { a, c } }: BenchWorld): Promise<StaticTunnel[]> {
  const middle = await createStaticTunnel(hub.host, { address: '10.66.0.1/24', port: 51_900, mtu });
  const tunnels = [middle];
  for (const [index, spoke] of [c, a].entries()) {
    const address = `10.66.0.${String(index + 2)}`;
    const tunnel = await createStaticTunnel(spoke.host, { address: `${address}/24`, port: 51_901 + index, mtu });
    await middle.addPeer({ publicKey: tunnel.publicKey, allowedIps: [`${address}/32`] });
    const endpoint = `${publicAddress.hub}:51900`;
    await tunnel.addPeer({ publicKey: middle.publicKey, allowedIps: ['10.66.0.0/24'], endpoint });
    await spoke.host.ping({ to: '10.66.0.1', count: 3 });
    tunnels.push(tunnel);
  }
  return tunnels;
}

/** Mbit/s of TCP from one host to an address of the other. */
async function measure(server: Host, client: Host, address: string): Promise<number> {
  const listening = server.spawn(['iperf3', '-s', '-1', '-B', address]);
  const listens = async (): Promise<boolean> => (await server.run(['ss', '-Hltn', 'sport = :5201'])) !== '';
  await until('iperf3 listens', listens, { within: 5000, every: 20, explain: () => listening.stderr() });
  const text = await client.run(['iperf3', '-J', '-t', String(secondsOfRun), '-O', '1', '-c', address]);
  await listening.ended;
  return report.parse(JSON.parse(text)).end.sum_received.bits_per_second / 1e6;
}

/** Percent of a core that the agent's own process takes while something runs. */
async function whileBusy(agent: Agent, work: () => Promise<number>): Promise<{ result: number; percent: number }> {
  const [began, before] = [performance.now(), await cpuSeconds(agent.pid())];
  const result = await work();
  const used = (await cpuSeconds(agent.pid())) - before;
  return { result, percent: (used / ((performance.now() - began) / 1000)) * 100 };
}

/** Time on a core of all threads of a process, from /proc/PID/task/TID/schedstat: nanoseconds, where proc(5)'s stat has hundredths. */
async function cpuSeconds(pid: number): Promise<number> {
  const tasks = `/proc/${String(pid)}/task`;
  const texts = await Promise.all((await readdir(tasks)).map((id) => readFile(`${tasks}/${id}/schedstat`, 'utf8')));
  return texts.reduce((sum, text) => sum + Number(text.split(' ', 1)[0]), 0) / 1e9;
}
