// One registry process with 10,000 registered nodes, several hundred of them with a session: what resolutions and registrations cost,
// beside the cheapest call of the same server. The nodes are another process on this machine: with two cores, each has one.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Load, LoadOrder } from './registry-load-nodes.ts';
import type { Order, Ready, Usage } from './registry-load-registry.ts';
import { formatRows, type Row } from './table.ts';

const nodes = 10_000;
const sessions = 400;
const offered = [1000, 2000, 3000, 4000, 5000];
const seconds = 3;
const runs = 5;

type Measured = Load & {
  /** Of the registry: microseconds a request, and milliseconds a second. */
  readonly cpuEach: number;
  readonly cpuShare: number;
};

export async function registryLoad(): Promise<string> {
  const registry = start('./registry-load-registry.ts', [nodes, sessions].map(String));
  const [ready] = (await once(registry, 'message')) as [Ready];
  const clients = start('./registry-load-nodes.ts', []);
  try {
    const before = await usage(registry);
    await tell(clients, ready);
    await once(clients, 'message');
    const { heap } = await usage(registry);
    const measure = async (order: LoadOrder): Promise<Measured> => {
      await usage(registry);
      await tell(clients, order);
      const [load] = (await once(clients, 'message')) as [Load];
      const { cpuMs } = await usage(registry);
      const took = load.asked / load.answeredPerSecond;
      return { ...load, cpuEach: (cpuMs * 1000) / load.asked, cpuShare: cpuMs / took };
    };
    const loads = new Map<string, Measured[]>();
    const note = async (what: string, order: LoadOrder): Promise<void> => {
      loads.set(what, [...(loads.get(what) ?? []), await measure(order)]);
    };
    const most = offered.at(-1);
    for (let run = 0; run < runs; run++) {
      for (const perSecond of offered)
        await note(`resolution, ${String(perSecond)}/s`, { kind: 'resolution', perSecond, seconds });
      await note(`health check, ${String(most)}/s`, { kind: 'health', perSecond: most, seconds });
      await tell(registry, 'pause etcd');
      await note(`resolution, ${String(most)}/s, etcd stopped`, { kind: 'resolution', perSecond: most, seconds });
      await tell(registry, 'resume etcd');
      await note('resolution, one at a time a session', { kind: 'resolution', perSecond: undefined, seconds });
      await note('registration that changes, likewise, with its write to etcd', {
        kind: 'registration',
        perSecond: undefined,
        seconds,
      });
    }
    return [
      formatRows(
        `One registry with ${String(nodes)} nodes, ${String(sessions)} of them with a session; times since a request was due`,
        [...loads].flatMap(([what, measured]) => rowsOf(what, measured)),
      ),
      formatRows('Heap of the registry', [
        { what: 'a registered node', values: [ready.octetsPerNode], unit: 'octets', digits: 0 },
        {
          what: 'its session, with its connection',
          values: [(heap - before.heap) / sessions],
          unit: 'octets',
          digits: 0,
        },
      ]),
    ].join('');
  } finally {
    await tell(clients, 'stop');
    await tell(registry, 'stop');
    await Promise.all([once(clients, 'exit'), once(registry, 'exit')]);
  }
}

function rowsOf(what: string, loads: readonly Measured[]): Row[] {
  const row = (name: string, of: (load: Measured) => number, unit: string, digits = 0): Row => ({
    what: `  ${name}`,
    values: loads.map(of),
    unit,
    digits,
  });
  return [
    { ...row('', ({ answeredPerSecond }) => answeredPerSecond, '1/s'), what },
    row('p50', ({ p50 }) => p50, 'ms', 2),
    row('p99', ({ p99 }) => p99, 'ms', 2),
    row('unanswered', ({ unanswered }) => unanswered, ''),
    row('sessions lost', ({ lost }) => lost, ''),
    row('CPU of the registry', ({ cpuEach }) => cpuEach, 'us each'),
    row('CPU of the registry', ({ cpuShare }) => cpuShare / 10, '% of a core'),
    row('CPU of the nodes', ({ cpu }) => cpu / 10, '% of a core'),
  ];
}

function start(file: string, args: readonly string[]): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: ['--import', 'tsx', '--expose-gc'] });
}

async function usage(registry: ChildProcess): Promise<Usage> {
  await tell(registry, 'usage');
  const [answer] = (await once(registry, 'message')) as [Usage];
  return answer;
}

function tell(child: ChildProcess, word: Order | LoadOrder | Ready): Promise<void> {
  return new Promise((resolve, reject) => {
    child.send(word, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}
