// Two branches whose LANs are routed by real daemons, joined by the overlay. Each has a router with
// an agent, a and b, and in its LAN (eth1) another router, ra and rb, with a network behind it (eth2). The daemons run the
// configurations of deploy/examples, as they are in branch a, and with the numbers of branch b there.
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import type { Agent } from '#test/support/lab/agent.ts';
import { startBird } from '#test/support/lab/bird.ts';
import { type FrrDaemon, type Router, startFrr } from '#test/support/lab/frr.ts';
import type { Host } from '#test/support/lab/host.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import { hubAddress, hubEndpoint, registryAddress } from '#test/support/lab/worlds.ts';
import { slowness, until } from '#test/support/poll.ts';
import { createOverlay, type Overlay } from '#test/support/programs.ts';

export type Branch = 'a' | 'b';
export type Protocol = 'ospf' | 'ospf6' | 'eigrp' | 'bgp';
/** What runs on a branch's router. */
export type Suite = 'frr' | 'bird';

export type Family = 4 | 6;

export interface Network {
  readonly prefix: string;
  /** Of the LAN's router. */
  readonly address: string;
}

/**
 * The network behind a branch's LAN router. Each case has one of its own (`number`, from 1): what comes and goes often is damped.
 */
export function behind(branch: Branch, number: number, family: Family): Network {
  const site = branch === 'a' ? 1 : 2;
  const start = family === 4 ? `10.${String(site)}.${String(number)}` : `fd00:10:${String(site)}:${String(number)}:`;
  return family === 4
    ? { prefix: `${start}.0/24`, address: `${start}.1` }
    : { prefix: `${start}:/64`, address: `${start}:1` };
}

export interface World {
  readonly lab: Lab;
  readonly overlay: Overlay;
  readonly hub: Agent;
  readonly a: Agent;
  readonly b: Agent;
  /** The routers in the LANs. */
  readonly ra: Host;
  readonly rb: Host;
}

export const examples = new URL('../../deploy/examples/', import.meta.url);
export const daemons: Readonly<Record<Protocol, readonly FrrDaemon[]>> = {
  ospf: ['bfdd', 'ospfd'],
  ospf6: ['ospf6d'],
  eigrp: ['eigrpd'],
  bgp: ['bgpd'],
};

export async function createWorld(t: TestContext): Promise<World> {
  const lab = await createLab({
    hosts: {
      registry: { attach: { internet: registryAddress } },
      hub: { attach: { internet: hubAddress } },
      a: { attach: { internet: '198.51.100.11', 'lan-a': '10.1.0.1/24' }, forwards: true },
      a2: { attach: { internet: '198.51.100.12', 'lan-a': '10.1.0.2/24' }, forwards: true },
      b: { attach: { internet: '198.51.100.13', 'lan-b': '10.2.0.1/24' }, forwards: true },
      ra: { attach: { 'lan-a': '10.1.0.9/24', 'net-a': '10.1.255.1/24' }, forwards: true },
      rb: { attach: { 'lan-b': '10.2.0.9/24', 'net-b': '10.2.255.1/24' }, forwards: true },
    },
  });
  t.after(() => lab.dispose());
  for (const name of ['a', 'a2', 'b', 'ra', 'rb'] as const) await nameInterfaces(lab.host(name));
  const pools = ['--pool', '100.64.0.0/24', '--pool6', 'fd00:100::/64'];
  const overlay = await createOverlay(lab, { init: [...pools, '--idle-timeout', '600s'] });
  t.after(() => overlay.dispose());
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const configure = importing(await readFile(new URL('agent/routing.yaml', examples), 'utf8'));
  const [inA, inB] = [
    ['10.1.0.0/16', 'fd00:10:1::/48'],
    ['10.2.0.0/16', 'fd00:10:2::/48'],
  ];
  const a = await overlay.join('a', { prefixes: inA, configure });
  const b = await overlay.join('b', { prefixes: inB, configure });
  await overlay.settled();
  return { lab, overlay, hub, a, b, ra: lab.host('ra'), rb: lab.host('rb') };
}

/** Gives agent.yaml this section of routing. The token allows prefixes; what of them is announced, the kernel says. */
export function importing(routing: string): (agentYaml: string) => string {
  return (agentYaml) =>
    agentYaml.replace(/^ {2}prefixes:\n( {4}- .*\n)+/m, '').replace(/^# A section[^]*$/m, '') + routing;
}

/** eth1 is the LAN, eth2 what is behind it, as the examples say. */
async function nameInterfaces(host: Host): Promise<void> {
  const links = (await host.run(['ls', '/sys/class/net'])).split('\n');
  for (const [start, name] of [
    ['lan-', 'eth1'],
    ['net-', 'eth2'],
  ] as const) {
    const link = links.find((one) => one.startsWith(start));
    if (link === undefined) continue;
    await host.link(link, 'down');
    await host.run(['ip', 'link', 'set', 'dev', link, 'name', name]);
    // As a router keeps what it is configured with.
    await host.run(['sysctl', '-qw', `net.ipv6.conf.${name}.keep_addr_on_down=1`]);
    await host.link(name, 'up');
  }
}

/** Gives the LAN router of a branch the network of a case, in place of the last one's. */
export async function setBehind(world: World, branch: Branch, number: number): Promise<void> {
  const host = world[`r${branch}`];
  await host.run(['ip', 'address', 'flush', 'dev', 'eth2', 'scope', 'global']);
  for (const family of [4, 6] as const) {
    const length = family === 4 ? '24' : '64';
    const address = `${behind(branch, number, family).address}/${length}`;
    await host.run(['ip', 'address', 'add', address, 'dev', 'eth2', ...(family === 6 ? ['nodad'] : [])]);
  }
}

/** Starts the routers of a branch: its own one, and FRR in its LAN. */
export async function startBranch(
  world: World,
  branch: Branch,
  protocol: Protocol,
  suite: Suite,
): Promise<readonly Router[]> {
  const own = world[branch].host;
  const config = await example(branch, `${suite}/branch-${protocol}`);
  const inLan = await example(branch, `frr/lan-${protocol}`);
  // The host is made ready as the comments of an example say.
  for (const [, words = ''] of config.matchAll(/^! {3}ip (.*)$/gm)) await prepare(own, words.split(' '));
  return Promise.all([
    suite === 'frr' ? startFrr(own, { config, daemons: daemons[protocol] }) : startBird(own, config),
    startFrr(world[`r${branch}`], { config: inLan, daemons: daemons[protocol] }),
  ]);
}

export async function example(branch: Branch, name: string): Promise<string> {
  const text = await readFile(new URL(`${name}.conf`, examples), 'utf8');
  return branch === 'a' ? text : text.replaceAll('10.1.', '10.2.');
}

/** A kernel without dummy interfaces has bridges, which do as well. */
async function prepare(host: Host, words: readonly string[]): Promise<void> {
  const done = await host.runAny(['ip', ...words]);
  if (done.code === 0) return;
  await host.run(['ip', ...words.map((word) => (word === 'dummy' ? 'bridge' : word))]);
}

/** Waits until a host has a route of this protocol to the prefix, or none at all. */
export async function routed(world: World, host: Host, prefix: string, by: string | undefined): Promise<void> {
  const family = prefix.includes(':') ? '-6' : '-4';
  await until(
    `${host.name} has ${by ?? 'no'} route to ${prefix}`,
    async () => {
      const text = await host.run(['ip', family, 'route', 'show', 'exact', prefix]);
      return by === undefined ? text === '' : text.includes(`proto ${by} `);
    },
    { within: 30_000 * slowness, every: 100, explain: () => world.lab.state() },
  );
}
