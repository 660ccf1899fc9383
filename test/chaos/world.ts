// Three replicas, each with a member of etcd beside it; two hubs; eight spokes behind NATs of all kinds, and every pair of them talks.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { createWallClock, type WallClock } from '#test/support/lab/clock.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import type { Pinging } from '#test/support/lab/ping.ts';
import type { LabPlan, NatKind } from '#test/support/lab/plan.ts';
import { binary, createService, type Service } from '#test/support/lab/service.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay, type Overlay } from '#test/support/programs.ts';
import type { Members } from './plan.ts';

/** Slow, as many sessions share the processors of one machine. */
const bfdMs = 500;
export const detectionMs = 3 * bfdMs * slowness;
/** Packets a second of every flow. */
export const rate = 5;

const replicas = { r1: '198.51.100.21', r2: '198.51.100.22', r3: '198.51.100.23' } as const;
const hubs = { h1: '198.51.100.3', h2: '198.51.100.4' } as const;
const nats: Readonly<Record<string, NatKind>> = {
  s1: 'restricted',
  s2: 'restricted',
  s3: 'restricted',
  s4: 'lax',
  s5: 'symmetric',
  s6: 'symmetric',
};

export const members: Members = {
  spokes: [...Object.keys(nats), 's7', 's8'],
  hubs: Object.keys(hubs),
  registries: Object.keys(replicas),
  behind: { s8: 's1' },
};

export interface PairFlow {
  readonly ends: readonly [string, string];
  readonly ping: Pinging;
}

export interface ChaosWorld {
  readonly lab: Lab;
  readonly overlay: Overlay;
  readonly agents: ReadonlyMap<string, Agent>;
  readonly registries: ReadonlyMap<string, Service>;
  readonly etcds: ReadonlyMap<string, Service>;
  readonly clocks: ReadonlyMap<string, WallClock>;
  readonly flows: readonly PairFlow[];
  /** Between two hosts without a tunnel: what is missing here was lost by the machine. */
  readonly control: Pinging;
  /** The name under which the lab cuts a member's link. */
  readonly link: (name: string) => string;
}

/** s8 has the same NAT as s1; s7 has none. */
function labPlan(): LabPlan {
  const spokes = Object.keys(nats).map((name, index) => {
    const lan = `192.168.${String(11 + index)}`;
    return [name, { attach: { [`lan-${name}`]: `${lan}.2/24` }, gateway: `${lan}.1` }] as const;
  });
  const routers = Object.entries(nats).map(([name, kind], index) => {
    const attach = {
      internet: `203.0.113.${String(11 + index)}`,
      [`lan-${name}`]: `192.168.${String(11 + index)}.1/24`,
    };
    return [`nat-${name}`, { kind, attach }] as const;
  });
  const open = Object.entries({ ...replicas, ...hubs, s7: '198.51.100.7' });
  return {
    hosts: {
      ...Object.fromEntries(open.map(([name, address]) => [name, { attach: { internet: address } }])),
      ...Object.fromEntries(spokes),
      s8: { attach: { 'lan-s1': '192.168.11.8/24' }, gateway: '192.168.11.1' },
    },
    nats: Object.fromEntries(routers),
  };
}

export async function createChaosWorld(t: TestContext): Promise<ChaosWorld> {
  const lab = await createLab(labPlan());
  t.after(() => lab.dispose());
  const etcds = new Map<string, Service>();
  const clocks = new Map<string, WallClock>();
  const clockDir = await mkdtemp(join(tmpdir(), 'dmwg-clocks-'));
  t.after(() => rm(clockDir, { recursive: true, force: true }));
  for (const name of [...members.registries, ...members.hubs, ...members.spokes]) {
    clocks.set(name, await createWallClock(join(clockDir, name)));
  }
  const env = (name: string): Readonly<Record<string, string>> => clocks.get(name)?.env ?? {};
  const overlay = await createOverlay(lab, {
    on: 'r1',
    address: replicas.r1,
    init: ['--pool', '10.77.0.0/24', '--bfd-interval', `${String(bfdMs * slowness)}ms`, '--fallback-time', '5s'],
    logLevel: 'info',
    registryArguments: replicaArguments('r1'),
    before: async (dir) => {
      for (const name of members.registries) etcds.set(name, etcdOn(lab, name, join(dir, `etcd-${name}`)));
      await Promise.all([...etcds.values()].map((etcd) => etcd.start()));
      await until('etcd has a leader', async () => (await etcdctl(lab, 'r1', ['get', 'x'])) !== undefined, {
        within: 30_000 * slowness,
      });
    },
    registryEnv: env('r1'),
  });
  t.after(() => overlay.dispose());
  const registries = new Map([['r1', overlay.registry]]);
  for (const name of ['r2', 'r3'] as const) {
    const registry = await replicaOn(overlay, name, env(name));
    t.after(() => registry.stop('SIGKILL'));
    registries.set(name, registry);
  }
  const agents = new Map<string, Agent>();
  for (const [name, address] of Object.entries(hubs)) {
    agents.set(name, await overlay.join(name, { role: 'hub', endpoint: `${address}:51820`, env: env(name) }));
  }
  for (const name of members.spokes) agents.set(name, await overlay.join(name, { env: env(name) }));
  await overlay.settled();
  const flows = pairs(members.spokes).map(([one, other]): PairFlow => {
    const [from, to] = [agents.get(one), agents.get(other)];
    if (!from || !to) throw new Error('a spoke has no agent');
    return { ends: [one, other], ping: from.host.startPing({ to: to.address, rate }) };
  });
  const control = lab.host('r1').startPing({ to: hubs.h1, rate });
  const link = (name: string): string => (name === 's8' ? 'nat-s1' : name in nats ? `nat-${name}` : name);
  return { lab, overlay, agents, registries, etcds, clocks, flows, control, link };
}

export async function etcdctl(lab: Lab, host: string, argv: readonly string[]): Promise<string | undefined> {
  const endpoints = Object.values(replicas).map((address) => `http://${address}:2379`);
  const env = { ETCDCTL_API: '3' };
  const done = await lab.host(host).runAny(['etcdctl', '--endpoints', endpoints.join(), ...argv], { env });
  return done.code === 0 ? done.stdout : undefined;
}

function pairs(names: readonly string[]): [string, string][] {
  return names.flatMap((one, index) => names.slice(index + 1).map((other): [string, string] => [one, other]));
}

function replicaArguments(name: keyof typeof replicas): string[] {
  const own = `${replicas[name]}:7443`;
  const etcd = Object.values(replicas).flatMap((address) => ['--etcd', `http://${address}:2379`]);
  return [...etcd, '--advertise', own, '--public', own];
}

async function replicaOn(
  overlay: Overlay,
  name: keyof typeof replicas,
  env: Readonly<Record<string, string>>,
): Promise<Service> {
  const stateDir = overlay.nodeDir(name);
  await cp(overlay.registry.stateDir, stateDir, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  const argv = ['--state-dir', stateDir, '--listen', '0.0.0.0:7443', ...replicaArguments(name)];
  const replica = createService({
    host: overlay.lab.host(name),
    stateDir,
    env,
    argv: [binary('dmwg-registry'), ...argv],
    isReady: (log) => log.some(({ msg }) => msg === 'ready'),
  });
  await replica.start();
  return replica;
}

function etcdOn(lab: Lab, name: string, dir: string): Service {
  const address = replicas[name as keyof typeof replicas];
  const [client, peer] = [`http://${address}:2379`, `http://${address}:2380`];
  const cluster = Object.entries(replicas).map(([one, at]) => `${one}=http://${at}:2380`);
  const argv = ['etcd', '--name', name, '--data-dir', dir, '--log-level', 'error', '--logger', 'zap'];
  argv.push('--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peer);
  argv.push('--initial-advertise-peer-urls', peer, '--initial-cluster', cluster.join());
  argv.push('--heartbeat-interval', '100', '--election-timeout', '1000');
  return createService({ host: lab.host(name), stateDir: dir, env: {}, argv, isReady: () => true });
}
