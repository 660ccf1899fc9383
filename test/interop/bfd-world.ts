// A host with our BFD and a host with FRR's bfdd, in one network, and what either says.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { z } from 'zod';
import type { BfdSessionConfig } from '#agent/io/bfd-port.ts';
import { parseAddress } from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';
import { milliseconds } from '#proto/model/time.ts';
import { BfdProcess } from '#test/support/bfd-process.ts';
import { type Frr, startFrr } from '#test/support/lab/frr.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import { slowness, until } from '#test/support/poll.ts';

/** How the two ends are addressed: as our link addresses are (/128, the other end routed), and in a common network. */
export const families = {
  ipv6: { ours: 'fd00:109::a', theirs: 'fd00:109::b' },
  ipv4: { ours: '192.0.2.10', theirs: '192.0.2.11' },
} as const;
type Family = keyof typeof families;
export const both: readonly Family[] = ['ipv6', 'ipv4'];

export const ourInterval = 100;
export const ourMultiplier = 5;
export const theirs = { receive: 300, transmit: 200, multiplier: 4 } as const;
/** In ms: theirs is the longer of what they send and we receive, times their multiplier (RFC 5880 section 6.8.4). */
export const ourDetection = theirs.multiplier * Math.max(theirs.transmit, ourInterval);

const peerShown = z.object({
  peer: z.string(),
  status: z.string(),
  diagnostic: z.string(),
  'remote-diagnostic': z.string(),
  'receive-interval': z.number(),
  'transmit-interval': z.number(),
  'remote-receive-interval': z.number(),
  'remote-transmit-interval': z.number(),
  'remote-detect-multiplier': z.number(),
});
type PeerShown = z.infer<typeof peerShown>;

export interface World {
  readonly lab: Lab;
  readonly us: BfdProcess;
  readonly frr: Frr;
  shown(family: Family): Promise<PeerShown>;
  /** Waits until bfdd shows this of both sessions. */
  showsBoth(what: Partial<PeerShown>): Promise<void>;
  /** Waits for a line of ours about both sessions, from number `skip` on. */
  saidBoth(what: { readonly to: string; readonly diagnostic?: string }, skip: number): Promise<readonly number[]>;
}

export function sessions(change: Partial<BfdSessionConfig> = {}): Readonly<Record<string, BfdSessionConfig>> {
  const entries = both.map((family): [string, BfdSessionConfig] => [
    family,
    {
      local: must(parseAddress(families[family].ours)),
      remote: must(parseAddress(families[family].theirs)),
      interval: milliseconds(ourInterval),
      multiplier: ourMultiplier,
      role: 'active',
      ...change,
    },
  ]);
  return Object.fromEntries(entries);
}

export function peerLine(family: Family): string {
  return `peer ${families[family].ours} local-address ${families[family].theirs} interface lan`;
}

const config = [
  'bfd',
  ...both.flatMap((family) => [
    ` ${peerLine(family)}`,
    `  receive-interval ${String(theirs.receive)}`,
    `  transmit-interval ${String(theirs.transmit)}`,
    `  detect-multiplier ${String(theirs.multiplier)}`,
    '  no shutdown',
    ' exit',
  ]),
  'exit',
  '',
].join('\n');

export async function createWorld(t: TestContext): Promise<World> {
  const lab = await createLab({
    hosts: {
      us: { attach: { lan: `${families.ipv4.ours}/24` } },
      them: { attach: { lan: `${families.ipv4.theirs}/24` } },
    },
  });
  const { ours, theirs: other } = families.ipv6;
  for (const [name, own, far] of [
    ['us', ours, other],
    ['them', other, ours],
  ] as const) {
    const host = lab.host(name);
    await host.run(['ip', 'address', 'add', `${own}/128`, 'dev', 'lan', 'nodad']);
    await host.run(['ip', 'route', 'add', `${far}/128`, 'dev', 'lan', 'src', own]);
  }
  const us = new BfdProcess(lab.host('us').namespace);
  const frr = await startFrr(lab.host('them'), { config, daemons: ['bfdd'] });
  t.after(async () => {
    await us.kill();
    await frr.stop();
    await lab.dispose();
  });
  await us.line({ event: 'ready' });

  const shown = async (family: Family): Promise<PeerShown> => {
    const peers = z.array(peerShown).parse(await frr.show('show bfd peers json'));
    const found = peers.find(({ peer }) => peer === families[family].ours);
    assert.ok(found, `bfdd has no peer ${families[family].ours}`);
    return found;
  };
  return {
    lab,
    us,
    frr,
    shown,
    showsBoth: async (what) => {
      const keys = Object.keys(what) as (keyof PeerShown)[];
      await until(
        `bfdd shows ${JSON.stringify(what)}`,
        async () => {
          const all = await Promise.all(both.map(shown));
          return all.every((peer) => keys.every((key) => peer[key] === what[key]));
        },
        { within: 10_000 * slowness, explain: async () => `${await frr.tell('show bfd peers')}\n${frr.log()}` },
      );
    },
    saidBoth: async (what, skip) => {
      const lines = await Promise.all(both.map((path) => us.line({ event: 'transition', path, ...what }, skip)));
      return lines.map(({ at }) => at);
    },
  };
}

/** In ms, between the packets that an address sends. The median, as an answer to a Poll comes out of turn. */
export async function medianGap({ lab }: World, from: string): Promise<number> {
  const capture = await lab.host('us').capture('lan', `udp dst port 3784 and src host ${from}`);
  const packets = 8;
  await until('enough packets', () => capture.lines().length >= packets, { within: 20_000 * slowness });
  const times = (await capture.stop()).map(atOf);
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? at));
  return gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? Number.NaN;
}

/** "12:34:56.789012 IP6 ...", as tcpdump prints it, in ms since midnight. */
export function atOf(line: string): number {
  const [, h = '', m = '', s = ''] = /^(\d+):(\d+):([\d.]+) /.exec(line) ?? [];
  return Number(h) * 3_600_000 + Number(m) * 60_000 + Number(s) * 1000;
}

export function sinceMidnight(at: number): number {
  return at - new Date(at).setHours(0, 0, 0, 0);
}
