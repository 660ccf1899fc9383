import type { Agent } from '#test/support/lab/agent.ts';
import { countForwarded, direct, replyThat } from '#test/support/lab/paths.ts';
import type { LogLine } from '#test/support/lab/service.ts';
import { type BenchWorld, idle, publicAddress, withWorld } from './world.ts';
import { createStaticTunnel } from '#test/support/lab/static.ts';
import { formatRows, type Row } from './table.ts';

const runs = 7;
const rate = 500;
/** ping takes its time stamps a little later than the packet leaves. */
const slackMs = 10;

interface Sample {
  /** From the first packet sent to the first reply that went without the hub, ms. */
  readonly total: number;
  readonly lost: number;
  readonly firstRtt: number;
  readonly split: Readonly<Record<string, number>>;
}

/** First packet to first direct packet, and what it is made of. */
export async function firstPacket(): Promise<string> {
  return withWorld({ init: ['--pool', '10.77.0.0/24', '--idle-timeout', '2s'], logLevel: 'debug' }, async (world) => {
    const { a, b, c, d } = world.spokes;
    const natted: Sample[] = [];
    const open: Sample[] = [];
    for (let index = 0; index < runs; index += 1) {
      natted.push(await sample(world, a, b));
      open.push(await sample(world, c, d));
    }
    const baseline = await staticRtts(world);
    return [
      formatRows('First packet to first direct packet, between port-restricted NATs', rowsOf(natted)),
      formatRows('The same without NAT', rowsOf(open)),
      formatRows('Round trip of a first packet with static hub-and-spoke WireGuard', [
        { what: 'through the hub', values: baseline, unit: 'ms', digits: 2 },
      ]),
    ].join('');
  });
}

async function sample(world: BenchWorld, from: Agent, to: Agent): Promise<Sample> {
  await idle(world.lab, [from, to]);
  const counter = await countForwarded(world.hub);
  const ping = from.host.startPing({ to: to.address, rate });
  await replyThat(world.lab, ping, { came: direct, what: 'without a hop' });
  const { lost, replies } = await ping.finish();
  if ((await counter.read()).packets === 0) throw new Error('the first packet did not go through the hub');
  const first = replies[0];
  const switched = replies.find(direct);
  if (first === undefined || switched === undefined) throw new Error('no reply');
  const began = first.at - first.rttMs;
  const done = switched.at - switched.rttMs;
  return { total: done - began, lost: lost.length, firstRtt: first.rttMs, split: splitOf(world, from, to, began) };
}

/** Milliseconds after the first packet of what the logs tell. */
function splitOf({ hub }: BenchWorld, from: Agent, to: Agent, began: number): Record<string, number> {
  const after = (agent: Agent, what: (line: LogLine) => boolean): number => {
    const line = agent.log().find((one) => one.at > began - slackMs && what(one));
    return line === undefined ? Number.NaN : line.at - began;
  };
  const changed = (kind: string) => (line: LogLine) => line.msg === 'changed' && line.fields['change'] === kind;
  return {
    'hub indicates': after(hub, (line) => line.msg === 'indicating'),
    'source resolves': after(from, (line) => line.msg === 'resolving'),
    'source has the peer': after(from, changed('add-peer')),
    'target has the peer': after(to, changed('add-peer')),
    'BFD is up': after(from, (line) => line.msg === 'direct'),
    'source has the route': after(from, changed('add-route')),
    'target has the route': after(to, changed('add-route')),
  };
}

function rowsOf(samples: readonly Sample[]): Row[] {
  const steps = Object.keys(samples[0]?.split ?? {});
  return [
    { what: 'first direct packet', values: samples.map(({ total }) => total), unit: 'ms' },
    { what: 'packets lost', values: samples.map(({ lost }) => lost), unit: '', digits: 0 },
    { what: 'round trip of the first packet', values: samples.map(({ firstRtt }) => firstRtt), unit: 'ms', digits: 2 },
    ...steps.map((step) => ({
      what: `  ${step}`,
      values: samples.map(({ split }) => split[step] ?? Number.NaN),
      unit: 'ms',
    })),
  ];
}

/** Round trips of a first packet between two spokes of a hub, by hand; each with a warm handshake, as dmwg's are. */
async function staticRtts({ spokes, hub }: BenchWorld): Promise<number[]> {
  const plan = { mtu: 1420 };
  const middle = await createStaticTunnel(hub.host, { ...plan, address: '10.66.0.1/24', port: 51_900 });
  const tunnels = [];
  for (const [index, spoke] of [spokes.a, spokes.b].entries()) {
    const address = `10.66.0.${String(index + 2)}`;
    const tunnel = await createStaticTunnel(spoke.host, { ...plan, address: `${address}/24`, port: 51_901 + index });
    tunnels.push(tunnel);
    await middle.addPeer({ publicKey: tunnel.publicKey, allowedIps: [`${address}/32`] });
    const endpoint = `${publicAddress.hub}:51900`;
    await tunnel.addPeer({ publicKey: middle.publicKey, allowedIps: ['10.66.0.0/24'], endpoint });
    await spoke.host.ping({ to: '10.66.0.1', count: 3 });
  }
  const rtts: number[] = [];
  for (let index = 0; index < runs; index += 1) {
    const { replies } = await spokes.a.host.ping({ to: '10.66.0.3', count: 1 });
    rtts.push(replies[0]?.rttMs ?? Number.NaN);
  }
  for (const tunnel of [...tunnels, middle]) await tunnel.remove();
  return rtts;
}
