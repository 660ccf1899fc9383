import { readFile } from 'node:fs/promises';
import type { Agent } from '#test/support/lab/agent.ts';
import { programsOn } from '#test/support/lab/footprint.ts';
import { binary } from '#test/support/lab/service.ts';
import { createStaticTunnel } from '#test/support/lab/static.ts';
import { until } from '#test/support/poll.ts';
import { formatRows } from './table.ts';
import { publicAddress, withWorld } from './world.ts';

const runs = 5;

/** Memory, start-up time and the time of a command. */
export async function footprint(): Promise<string> {
  return withWorld({ init: ['--pool', '10.77.0.0/24'] }, async ({ lab, overlay, hub, spokes: { c, d } }) => {
    await c.host.ping({ to: d.address, count: 5 });
    const memory = { registry: [] as number[], etcd: [] as number[], hub: [] as number[], spoke: [] as number[] };
    const show: number[] = [];
    const bare: number[] = [];
    const registryStart: number[] = [];
    const agentStart: number[] = [];
    const coldStart: number[] = [];
    const handMade: number[] = [];
    for (let index = 0; index < runs; index += 1) {
      const etcd = (await programsOn(overlay.registry.host)).find(({ name }) => name === 'etcd');
      memory.registry.push(await residentMiB(overlay.registry.pid()));
      memory.etcd.push(await residentMiB(etcd?.pid ?? 0));
      memory.hub.push(await residentMiB(hub.pid()));
      memory.spoke.push(await residentMiB(c.pid()));
      show.push(await timed(() => overlay.admin('show', 'nodes')));
      bare.push(await timed(() => overlay.registry.host.run([binary('dmwg'), '--version'])));
      await overlay.registry.stop();
      registryStart.push(await timed(() => overlay.registry.start()));
      await c.stop();
      agentStart.push(await timed(() => connected(c)));
      await c.stop();
      const places = ['--interface-prefix', c.host.interfacePrefix, '--run-dir', `${c.stateDir}/run`];
      await c.host.run([binary('dmwg'), 'down', '--state-dir', c.stateDir, ...places]);
      coldStart.push(await timed(() => reaches(c, hub.address)));
      handMade.push(
        await timed(async () => {
          const near = await createStaticTunnel(d.host, { address: '10.66.2.1/24', port: 51_921, mtu: 1420 });
          const far = await createStaticTunnel(hub.host, { address: '10.66.2.2/24', port: 51_922, mtu: 1420 });
          await far.addPeer({ publicKey: near.publicKey, allowedIps: ['10.66.2.1/32'] });
          await near.addPeer({
            publicKey: far.publicKey,
            allowedIps: ['10.66.2.2/32'],
            endpoint: `${publicAddress.hub}:51922`,
          });
          await d.host.ping({ to: '10.66.2.2', count: 1 });
          await near.remove();
          await far.remove();
        }),
      );
    }
    await until('all is well', async () => (await c.status()).registry.connected, {
      within: 20_000,
      explain: () => lab.state(),
    });
    return [
      formatRows('Memory (RSS)', [
        { what: 'registry', values: memory.registry, unit: 'MiB' },
        { what: 'its etcd', values: memory.etcd, unit: 'MiB' },
        { what: 'agent of a hub', values: memory.hub, unit: 'MiB' },
        { what: 'agent of a spoke', values: memory.spoke, unit: 'MiB' },
      ]),
      formatRows('Start-up', [
        { what: 'registry with its etcd, until ready', values: registryStart, unit: 'ms', digits: 0 },
        { what: 'agent, tunnels there, until its session is up', values: agentStart, unit: 'ms', digits: 0 },
        { what: 'agent, nothing there, until the hub answers', values: coldStart, unit: 'ms', digits: 0 },
        { what: 'static WireGuard by hand (both ends, made and removed)', values: handMade, unit: 'ms', digits: 0 },
      ]),
      formatRows('Commands', [
        { what: 'dmwg show nodes', values: show, unit: 'ms', digits: 0 },
        { what: 'dmwg --version', values: bare, unit: 'ms', digits: 0 },
      ]),
    ].join('');
  });
}

async function connected(agent: Agent): Promise<void> {
  const before = agent.log().length;
  await agent.start();
  const up = (): boolean =>
    agent
      .log()
      .slice(before)
      .some((line) => line.msg === 'session with the registry is up');
  await until('the session is up', up, { within: 20_000, every: 5, explain: () => agent.output() });
}

async function reaches(agent: Agent, address: string): Promise<void> {
  await agent.start();
  const ping = agent.host.startPing({ to: address, rate: 100 });
  await until('the hub answers', () => ping.replies().length > 0, {
    within: 20_000,
    every: 5,
    explain: () => agent.output(),
  });
  await ping.finish();
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

async function residentMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? Number.NaN) / 1024;
}
