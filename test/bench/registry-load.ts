// One registry process with 10,000 registered nodes, several hundred of them with a session: what resolutions and registrations cost,
// beside the cheapest call of the same server. The load comes from this machine, and takes its share of it.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client } from '@grpc/grpc-js';
import { registryChannelOptions } from '#proto/kit/registry-credentials.ts';
import { until } from '#test/support/poll.ts';
import { multipoint, registration, resolution } from '#test/support/registry-fixtures.ts';
import { Node } from './node.ts';
import type { Order, Ready, Usage } from './registry-load-registry.ts';
import { formatRows, median, type Row } from './table.ts';

const nodes = 10_000;
const sessions = 400;
const offered = 5000;
const seconds = 3;
const runs = 5;
/** Milliseconds; what takes longer was lost with its session. */
const patience = 5000;

interface Load {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly unanswered: number;
  /** Of the registry, microseconds each. */
  readonly cpu: number;
}

/** One request of a node; resolves when it is answered, with false when it is not. */
type Ask = (node: Node, count: number) => Promise<boolean>;

export async function registryLoad(): Promise<string> {
  const program = fileURLToPath(new URL('./registry-load-registry.ts', import.meta.url));
  const child = fork(program, [nodes, sessions].map(String), { execArgv: ['--import', 'tsx', '--expose-gc'] });
  const [ready] = (await once(child, 'message')) as [Ready];
  const all: Node[] = [];
  try {
    const before = await usage(child);
    for (const one of ready.members) {
      const node = new Node(ready, one);
      all.push(node);
      await until('it is welcome', () => node.welcome, { within: 60_000, every: 1 });
    }
    const { heap } = await usage(child);
    const resolve = asking((node, id) => {
      const destination = ready.destinations[(id * 7919) % ready.destinations.length] ?? '';
      return { ...resolution(node.address, destination), requestId: id };
    });
    // Another MTU each time: written to etcd, and nobody has to be told.
    const register = asking((node, id) => {
      const request = registration(node.address, [multipoint(`key of ${node.address}`, ['192.0.2.1:1024'])]);
      const cies = request.body.cies.map((cie) => ({ ...cie, mtu: 1280 + (id % 1000) }));
      return { ...request, requestId: id, body: { ...request.body, cies } };
    });
    const loads = {
      health: [] as Load[],
      offered: [] as Load[],
      alone: [] as Load[],
      most: [] as Load[],
      registrations: [] as Load[],
    };
    for (let run = 0; run < runs; run++) {
      loads.health.push(await measure(child, () => openLoop(all, health)));
      loads.offered.push(await measure(child, () => openLoop(all, resolve)));
      await order(child, 'pause etcd');
      loads.alone.push(await measure(child, () => openLoop(all, resolve)));
      await order(child, 'resume etcd');
      loads.most.push(await measure(child, () => closedLoop(all, resolve)));
      loads.registrations.push(await measure(child, () => closedLoop(all, register)));
    }
    return [
      formatRows(
        `${String(offered)} requests/s to one registry with ${String(nodes)} nodes, ${String(sessions)} of them with a session`,
        [
          ...rowsOf('health check', loads.health),
          ...rowsOf('resolution', loads.offered),
          ...rowsOf('resolution, etcd stopped', loads.alone),
        ],
      ),
      formatRows('As many as there can be, one at a time a session', [
        ...rowsOf('resolution', loads.most),
        ...rowsOf('registration that changes, with its write to etcd', loads.registrations),
      ]),
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
    for (const node of all) node.close();
    await order(child, 'stop');
    await once(child, 'exit');
  }
}

function rowsOf(what: string, loads: readonly Load[]): Row[] {
  return [
    { what, values: loads.map(({ perSecond }) => perSecond), unit: '1/s', digits: 0 },
    { what: '  p50', values: loads.map(({ p50 }) => p50), unit: 'ms', digits: 2 },
    { what: '  p99', values: loads.map(({ p99 }) => p99), unit: 'ms', digits: 2 },
    { what: '  unanswered', values: loads.map(({ unanswered }) => unanswered), unit: '', digits: 0 },
    { what: '  CPU of the registry', values: loads.map(({ cpu }) => cpu), unit: 'us each', digits: 0 },
  ];
}

async function measure(child: ChildProcess, load: () => Promise<number[]>): Promise<Load> {
  await usage(child);
  const begun = performance.now();
  const times = (await load()).sort((a, b) => a - b);
  const took = (performance.now() - begun) / 1000;
  const { cpuMs } = await usage(child);
  const unanswered = times.filter((time) => !Number.isFinite(time)).length;
  return {
    perSecond: (times.length - unanswered) / took,
    p50: median(times),
    p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN,
    unanswered,
    cpu: (cpuMs * 1000) / times.length,
  };
}

/** Requests come whether those before are answered or not. Milliseconds that each took. */
async function openLoop(all: readonly Node[], ask: Ask): Promise<number[]> {
  const times: number[] = [];
  const open: Promise<void>[] = [];
  const begun = performance.now();
  const end = begun + seconds * 1000;
  let sent = 0;
  while (performance.now() < end) {
    const due = Math.floor(((performance.now() - begun) / 1000) * offered);
    for (; sent < due; sent++) {
      const node = all[sent % all.length];
      if (node) open.push(timed(times, () => ask(node, sent)));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(open);
  return times;
}

/** Each node asks again when it was answered. */
async function closedLoop(all: readonly Node[], ask: Ask): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  let sent = 0;
  const go = async (node: Node): Promise<void> => {
    while (performance.now() < end) await timed(times, () => ask(node, sent++));
  };
  await Promise.all(all.map(go));
  return times;
}

async function timed(times: number[], work: () => Promise<boolean>): Promise<void> {
  const begun = performance.now();
  const answered = await work();
  times.push(answered ? performance.now() - begun : Infinity);
}

/** Requests on the sessions of nodes, answered by messages with their IDs. */
function asking(request: (node: Node, id: number) => Parameters<Node['say']>[0]): Ask {
  const waiting = new Map<Node, Map<number, (answered: boolean) => void>>();
  let next = 0;
  return (node) => {
    const own = waiting.get(node) ?? new Map<number, (answered: boolean) => void>();
    waiting.set(node, own);
    node.onNhrp = ({ requestId, body }) => {
      // Introductions and purges come as well.
      if (body.type.endsWith('-request')) return;
      own.get(requestId)?.(true);
    };
    const id = ++next;
    node.say(request(node, id));
    return new Promise((resolve) => {
      const end = (answered: boolean): void => {
        clearTimeout(timer);
        own.delete(id);
        resolve(answered);
      };
      const timer = setTimeout(end, patience, false);
      own.set(id, end);
    });
  };
}

const clients = new WeakMap<Node, Client>();

/** grpc.health.v1, over a channel that the node's session uses too. */
const health: Ask = (node) => {
  const client =
    clients.get(node) ?? new Client(node.registry, node.credentials, registryChannelOptions(node.registry));
  clients.set(node, client);
  const bytes = (value: Buffer): Buffer => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', bytes, bytes, Buffer.alloc(0), (error) => {
      resolve(error === null);
    });
  });
};

async function usage(child: ChildProcess): Promise<Usage> {
  await order(child, 'usage');
  const [answer] = (await once(child, 'message')) as [Usage];
  return answer;
}

function order(child: ChildProcess, word: Order): Promise<void> {
  return new Promise((resolve, reject) => {
    child.send(word, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}
