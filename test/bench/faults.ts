import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Agent } from '#test/support/lab/agent.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import { programsOn } from '#test/support/lab/footprint.ts';
import { silence, unsilence } from '#test/support/lab/nat.ts';
import { hubEndpoint, sites, twoUplinks } from '#test/support/lab/worlds.ts';
import { until } from '#test/support/poll.ts';
import { createOverlay, type Overlay } from '#test/support/programs.ts';
import { formatRows, type Row } from './table.ts';

const runs = 10;
/** Pings a second: the least gap that can be seen, and the packets that are lost. */
const rate = 200;
/** What a fault is watched for, in ms, and what is before it. */
const watched = 3000;
const before = 500;
const secondHub = '198.51.100.4';
const init = ['--pool', '10.77.0.0/24', '--fallback-time', '2s', '--idle-timeout', '600s'];

interface Fault {
  readonly name: string;
  readonly from: Agent;
  readonly to: Agent;
  readonly inject: () => Promise<unknown>;
  readonly heal: () => Promise<unknown>;
  /** All is as it was. */
  readonly calm: () => Promise<boolean>;
}

/** What flows through one fault after the other notice of it. */
export async function faults(): Promise<string> {
  const rows = [...(await hubsAndPrograms()), ...(await uplinks())];
  const title = (what: string): string =>
    `${what}, ${String(rate)} pings a second, of the flow that the fault is about`;
  return [
    formatRows(
      title('Longest time without a reply'),
      rows.map(({ name, gaps }): Row => ({ what: name, values: gaps, unit: 'ms', digits: 0 })),
    ),
    formatRows(
      title('Packets lost'),
      rows.map(({ name, lost }): Row => ({ what: name, values: lost, unit: 'packets', digits: 0 })),
    ),
  ].join('');
}

interface Felt {
  readonly name: string;
  readonly gaps: readonly number[];
  readonly lost: readonly number[];
}

async function hubsAndPrograms(): Promise<Felt[]> {
  const world = sites('restricted');
  const lab = await createLab({ ...world, hosts: { ...world.hosts, hub2: { attach: { internet: secondHub } } } });
  try {
    const overlay = await createOverlay(lab, { init, logLevel: 'info' });
    try {
      const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
      await overlay.join('hub2', { role: 'hub', endpoint: `${secondHub}:51820` });
      const a = await overlay.join('a');
      const b = await overlay.join('b');
      const c = await overlay.join('c');
      await overlay.settled();
      // a and c stay on the hubs, a and b go direct.
      await lab.cut('nat-a', 'c');
      const onFirst = async (): Promise<boolean> => (await actives([a, c])).every((name) => name === 'hub');
      const isDirect = async (): Promise<boolean> =>
        (await a.peer('b'))?.path === 'direct' && (await b.peer('a'))?.path === 'direct';
      const around = { from: a, to: c, calm: onFirst };
      const straight = { from: a, to: b, calm: isDirect };
      return await inTurn(lab, [
        { ...around, name: 'hub dies', inject: () => kill(hub), heal: () => hub.start() },
        {
          ...around,
          name: 'hub is drained',
          inject: () => overlay.admin('drain', 'hub'),
          heal: () => overlay.admin('drain', 'hub', '--off'),
        },
        {
          ...straight,
          name: 'direct path is cut',
          inject: () => lab.cut('nat-a', 'nat-b'),
          heal: () => lab.heal('nat-a', 'nat-b'),
        },
        { ...straight, name: 'agent is killed', inject: () => b.stop('SIGKILL'), heal: () => b.start() },
        {
          ...straight,
          name: 'registry is killed',
          inject: () => overlay.registry.stop('SIGKILL'),
          heal: () => overlay.registry.start(),
        },
        { ...straight, name: 'etcd is killed', inject: () => killEtcd(overlay), heal: () => Promise.resolve() },
      ]);
    } finally {
      await overlay.dispose();
    }
  } finally {
    await lab.dispose();
  }
}

async function uplinks(): Promise<Felt[]> {
  const yaml = readFileSync(join(import.meta.dirname, '../../deploy/examples/agent/uplinks.yaml'), 'utf8');
  const lab = await createLab(twoUplinks);
  try {
    const second = ['default', 'via', '192.168.12.1', 'dev', 'mobile', 'metric', '200'];
    await lab.host('branch').run(['ip', 'route', 'add', ...second]);
    const overlay = await createOverlay(lab, { init, logLevel: 'info' });
    try {
      for (const nat of ['nat-fibre', 'nat-mobile']) await lab.cut(nat, 'c');
      await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
      const branch = await overlay.join('branch', { configure: (text) => text + yaml });
      const b = await overlay.join('b');
      const c = await overlay.join('c');
      await overlay.settled();
      const byFirst = async (): Promise<boolean> =>
        (await branch.status()).uplinks.some(({ name, state, active }) => name === 'fibre' && state === 'up' && active);
      const isDirect = async (): Promise<boolean> =>
        (await byFirst()) && (await branch.peer('b'))?.path === 'direct' && (await b.peer('branch'))?.path === 'direct';
      const fault = {
        from: branch,
        inject: () => silence(lab.host('nat-fibre')),
        heal: () => unsilence(lab.host('nat-fibre')),
      };
      return await inTurn(lab, [
        { ...fault, name: 'uplink dies, by the hub', to: c, calm: byFirst },
        { ...fault, name: 'uplink dies, direct', to: b, calm: isDirect },
      ]);
    } finally {
      await overlay.dispose();
    }
  } finally {
    await lab.dispose();
  }
}

async function inTurn(lab: Lab, list: readonly Fault[]): Promise<Felt[]> {
  const felt: Felt[] = [];
  for (const fault of list) {
    const gaps: number[] = [];
    const lost: number[] = [];
    for (let index = 0; index < runs; index += 1) {
      await fault.from.host.ping({ to: fault.to.address, count: 5 });
      await until(`before ${fault.name}`, fault.calm, { within: 400_000, every: 100, explain: () => lab.state() });
      const ping = fault.from.host.startPing({ to: fault.to.address, rate });
      await pass(before);
      await fault.inject();
      await pass(watched);
      const result = await ping.finish();
      gaps.push(result.longestGapMs);
      lost.push(result.lost.length);
      await fault.heal();
    }
    process.stderr.write(`${fault.name}: ${gaps.map((gap) => gap.toFixed(0)).join(' ')} ms\n`);
    felt.push({ name: fault.name, gaps, lost });
  }
  return felt;
}

async function actives(agents: readonly Agent[]): Promise<(string | undefined)[]> {
  const all = await Promise.all(agents.map((agent) => agent.status()));
  return all.map(({ hubs }) => hubs.find(({ active }) => active)?.node);
}

/** The agent and its interface go without a word. */
async function kill(hub: Agent): Promise<void> {
  await hub.stop('SIGKILL');
  const daemon = await hub.host.runAny(['pgrep', '-f', '-x', `wireguard-go ${hub.multipoint}`]);
  if (daemon.code === 0) process.kill(Number(daemon.stdout.trim()), 'SIGKILL');
  else await hub.host.run(['ip', 'link', 'delete', 'dev', hub.multipoint]);
}

async function killEtcd(overlay: Overlay): Promise<void> {
  const etcd = (await programsOn(overlay.registry.host)).find(({ name }) => name === 'etcd');
  if (etcd) process.kill(etcd.pid, 'SIGKILL');
}

function pass(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
