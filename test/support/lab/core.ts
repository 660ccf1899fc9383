import type { Host } from './host.ts';

/**
 * What the internet does to packets. Both ends of a cut go on seeing their links up and hear nothing: no ICMP, no reset.
 */
export interface Core {
  /** Drops everything between two internet addresses, in both directions. */
  cut(a: string, b: string): Promise<void>;
  heal(a: string, b: string): Promise<void>;
  /** Drops this part (0 to 100) of what goes from and to an internet address. 0 ends it. */
  lose(address: string, percent: number): Promise<void>;
  /** Every link of the internet takes this many ms longer, each way. False if this kernel cannot do it (no netem). */
  delay(milliseconds: number): Promise<boolean>;
  /** Packets dropped by cuts since the lab began. */
  dropped(): Promise<number>;
}

/** Makes the table, so that there are counters to read from the start. */
export async function createCore(host: Host): Promise<Core> {
  const cuts = new Map<string, readonly [string, string]>();
  const losses = new Map<string, number>();
  const name = (a: string, b: string): string => [a, b].sort().join(' ');

  // One nft transaction: the chain is never half there. The counters live outside the chain.
  const apply = async (): Promise<void> => {
    const rules = [...cuts.values()].flatMap(([a, b]) => [
      `ip saddr ${a} ip daddr ${b} counter name cut drop`,
      `ip saddr ${b} ip daddr ${a} counter name cut drop`,
    ]);
    for (const [address, percent] of losses) {
      const some = percent === 100 ? '' : `numgen random mod 1000 < ${String(Math.round(percent * 10))} `;
      for (const side of ['saddr', 'daddr']) rules.push(`ip ${side} ${address} ${some}counter name lost drop`);
    }
    await host.run(['nft', '-f', '-'], {
      input: [
        'table inet lab {',
        'counter cut { }',
        'counter lost { }',
        'chain forward { type filter hook forward priority 0; }',
        '}',
        'flush chain inet lab forward',
        ...rules.map((rule) => `add rule inet lab forward ${rule}`),
        '',
      ].join('\n'),
    });
  };

  await apply();
  return {
    cut: async (a, b) => {
      cuts.set(name(a, b), [a, b]);
      await apply();
    },
    heal: async (a, b) => {
      if (!cuts.delete(name(a, b))) throw new Error(`${a} and ${b} are not cut`);
      await apply();
    },
    lose: async (address, percent) => {
      if (percent === 0) losses.delete(address);
      else losses.set(address, percent);
      await apply();
    },
    delay: async (milliseconds) => {
      const links = (await host.run(['ls', '/sys/class/net']))
        .split('\n')
        .filter((link) => link !== '' && link !== 'lo');
      for (const link of links) {
        const how = ['root', 'netem', 'delay', `${String(milliseconds)}ms`];
        if ((await host.runAny(['tc', 'qdisc', 'replace', 'dev', link, ...how])).code !== 0) return false;
      }
      return true;
    },
    dropped: async () => {
      const text = await host.run(['nft', 'list', 'counter', 'inet', 'lab', 'cut']);
      return Number(/packets (\d+)/.exec(text)?.[1] ?? Number.NaN);
    },
  };
}
