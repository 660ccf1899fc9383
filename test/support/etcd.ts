// A real etcd for tests: loopback, data in a directory of its own, and the ways in which it can fail.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './poll.ts';

export interface TestEtcd {
  /** "http://127.0.0.1:PORT"; stays the same over restarts. */
  readonly endpoint: string;
  /** As kill -9. */
  kill(): Promise<void>;
  /** Starts it again on the same ports and data. */
  start(): Promise<void>;
  /** It exists and does not answer. */
  pause(): void;
  resume(): void;
  /** Kills it and removes its data; start() then begins an empty store. */
  wipe(): Promise<void>;
  /** Runs `etcdctl`; returns its output. */
  ctl(...args: readonly string[]): Promise<string>;
  /** Kills it and removes everything. Safe to repeat. */
  close(): Promise<void>;
}

/** Files for a member that speaks TLS, to clients with a certificate of the same CA. */
export interface TestTls {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export async function startTestEtcd(tls?: TestTls): Promise<TestEtcd> {
  const [etcd] = await startTestCluster(1, tls);
  if (etcd === undefined) throw new Error('a cluster of one has one');
  return etcd;
}

/** Several members of one cluster; resolves when all are healthy. */
export async function startTestCluster(size: number, tls?: TestTls): Promise<readonly TestEtcd[]> {
  const ports = await freePorts(2 * size);
  const members = Array.from({ length: size }, (_, index) => ({
    name: `member-${String(index)}`,
    endpoint: `${tls ? 'https' : 'http'}://127.0.0.1:${String(ports[2 * index])}`,
    peer: `http://127.0.0.1:${String(ports[2 * index + 1])}`,
  }));
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(',');
  return Promise.all(members.map((member) => startMember({ ...member, tls }, cluster)));
}

async function startMember(
  { name, endpoint, peer, tls }: Readonly<Record<'name' | 'endpoint' | 'peer', string>> & { tls: TestTls | undefined },
  cluster: string,
): Promise<TestEtcd> {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-etcd-'));
  const data = join(dir, 'data');
  let child: ChildProcess | undefined;

  const ctl = (...args: readonly string[]): Promise<string> => etcdctl(endpoint, args, tls);
  const start = async (): Promise<void> => {
    const args = ['--pdeathsig', 'KILL', '--', 'etcd', '--name', name, '--data-dir', data];
    args.push('--listen-client-urls', endpoint, '--advertise-client-urls', endpoint, '--listen-peer-urls', peer);
    args.push('--initial-advertise-peer-urls', peer, '--initial-cluster', cluster, '--logger', 'zap');
    args.push('--heartbeat-interval', '50', '--election-timeout', '500', '--log-level', 'error');
    if (tls) {
      args.push('--cert-file', tls.certificate, '--key-file', tls.key, '--trusted-ca-file', tls.ca);
      args.push('--client-cert-auth');
    }
    child = spawn('setpriv', args, { stdio: 'ignore' });
    const healthy = async (): Promise<boolean> => (await ctl('endpoint', 'status').catch(() => '')) !== '';
    const answers = async (): Promise<boolean> => (tls ? healthy() : (await fetch(`${endpoint}/health`)).ok);
    await until('etcd is healthy', answers, { within: 10_000, every: 20 });
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, 'exit');
    running.kill('SIGKILL');
    await exited;
  };
  const wipe = async (): Promise<void> => {
    await kill();
    await rm(data, { recursive: true, force: true });
  };
  await start();
  return {
    endpoint,
    kill,
    start,
    wipe,
    pause: () => child?.kill('SIGSTOP'),
    resume: () => child?.kill('SIGCONT'),
    ctl,
    close: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export interface Proxy {
  readonly endpoint: string;
  /** Breaks all connections and takes no more. */
  cut(): void;
  heal(): void;
  /** The next answer of etcd to anybody is lost, and its connection with it. */
  loseAnswer(): void;
  close(): Promise<void>;
}

/** A TCP connection to etcd that can be broken for one client without the others noticing. */
export async function startProxy(to: string): Promise<Proxy> {
  const port = Number(new URL(to).port);
  const open = new Set<Socket>();
  let isCut = false;
  let losing = false;
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    const drop = (): void => {
      for (const socket of [client, upstream]) {
        socket.destroy();
        open.delete(socket);
      }
    };
    if (isCut) {
      drop();
      return;
    }
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', drop).on('close', drop);
    }
    client.pipe(upstream);
    upstream.on('data', (data: Buffer) => {
      // An acknowledgement of the transport is 9 or 17 bytes; an answer is longer.
      if (losing && data.length > 40) {
        losing = false;
        drop();
      } else client.write(data);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const cut = (): void => {
    isCut = true;
    for (const socket of open) socket.destroy();
  };
  return {
    endpoint: `http://127.0.0.1:${String(address.port)}`,
    cut,
    heal: () => {
      isCut = false;
    },
    loseAnswer: () => {
      losing = true;
    },
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

async function etcdctl(endpoint: string, args: readonly string[], tls: TestTls | undefined): Promise<string> {
  const secure = tls ? ['--cacert', tls.ca, '--cert', tls.certificate, '--key', tls.key] : [];
  const env = { ...process.env, ETCDCTL_API: '3' };
  const child = spawn('etcdctl', ['--endpoints', endpoint, ...secure, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`etcdctl ${args.join(' ')} ended with ${String(code)}`);
  return output;
}

/** Different ports that were free a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    ports.push(address.port);
  }
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  return ports;
}
