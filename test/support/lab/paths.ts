import { slowness, until } from '../poll.ts';
import type { Agent } from './agent.ts';
import type { Counter } from './host.ts';
import type { Lab } from './lab.ts';
import type { Pinging, Reply } from './ping.ts';

/** What a reply tells by its hop limit about its way between two nodes: a hub takes one off. */
export const direct = (reply: Reply): boolean => reply.ttl === 64;
export const throughHub = (reply: Reply): boolean => reply.ttl === 63;

/** Waits for a reply that came this way, after the given moment (ms since 1970), and returns it. */
export async function replyThat(
  lab: Lab,
  ping: Pinging,
  { came, what, since = 0, within = 20_000 }: ReplyWanted,
): Promise<Reply> {
  return until(`a reply ${what}`, () => ping.replies().find((reply) => reply.at >= since && came(reply)), {
    within: within * slowness,
    explain: () => lab.state(),
  });
}

interface ReplyWanted {
  readonly came: (reply: Reply) => boolean;
  readonly what: string;
  readonly since?: number;
  readonly within?: number;
}

/** Waits until both ends say that they are connected directly. */
export async function bothDirect(lab: Lab, a: Agent, b: Agent, within = 20_000): Promise<void> {
  await until(
    `${a.name} and ${b.name} say that they are direct`,
    async () => (await a.peer(b.name))?.path === 'direct' && (await b.peer(a.name))?.path === 'direct',
    { within: within * slowness, every: 250, explain: () => lab.state() },
  );
}

/** What a hub forwards out of the overlay into the overlay. */
export function countForwarded(hub: Agent): Promise<Counter> {
  return hub.host.count('forward', `iifname "${hub.multipoint}" oifname "${hub.multipoint}"`);
}

/** The same for one direction between two addresses. */
export function countBetween(hub: Agent, from: string, to: string): Promise<Counter> {
  const both = `iifname "${hub.multipoint}" oifname "${hub.multipoint}"`;
  return hub.host.count('forward', `${both} ip saddr ${from} ip daddr ${to}`);
}

/** Waits until both directions between two spokes go without the hub: it forwards none of 50 packets and their replies. */
export async function sparesHub(lab: Lab, hub: Agent, from: Agent, to: Agent): Promise<void> {
  const there = await countBetween(hub, from.address, to.address);
  const back = await countBetween(hub, to.address, from.address);
  const forwarded = async (): Promise<number> => (await there.read()).packets + (await back.read()).packets;
  const quiet = async (): Promise<boolean> => {
    const before = await forwarded();
    const { lost } = await from.host.ping({ to: to.address, rate: 100 / slowness, count: 50 });
    return lost.length === 0 && (await forwarded()) === before;
  };
  const what = `the hub forwards nothing between ${from.name} and ${to.name}`;
  await until(what, quiet, { within: 10_000 * slowness, explain: () => lab.state() });
}
