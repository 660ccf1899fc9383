// A registry with 2,000 sessions is killed and started again: how long until all nodes are registered. The nodes have the agent's own session
// with its waits, and share the processors with the registry and its etcd; no tunnel is concerned.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createLogger } from '#proto/kit/log.ts';
import { runAny } from '#test/support/lab/process.ts';
import { binary } from '#test/support/lab/service.ts';
import { until } from '#test/support/poll.ts';
import { call, enrol } from '#test/support/registry-host.ts';
import { type RegistryProgram, registryProgram } from '#test/support/registry-program.ts';
import { type SessionNode, startSessionNode } from '#test/support/session-node.ts';
import { formatRows } from './table.ts';

const nodeCount = 2000;
const runs = 3;
const atOnce = 16;
const patient = 600_000;

export async function reconnectStorm(): Promise<string> {
  const undo: (() => unknown)[] = [];
  const context = { after: (step: () => unknown) => undo.push(step) } as unknown as TestContext;
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-storm-'));
  undo.push(() => rm(dir, { recursive: true, force: true }));
  try {
    const registry = await registryProgram(context, join(dir, 'registry'));
    const settings = ['--registry-address', registry.address, '--overlay-name', 'lab', '--pool', '10.96.0.0/12'];
    await runAny([binary('dmwg'), 'init', '--state-dir', registry.stateDir, ...settings]);
    await registry.start();
    const nodes = await enrolAll(registry);
    undo.push(() => Promise.all(nodes.map((node) => node.stop())));
    return await measure(registry, nodes);
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

async function enrolAll(registry: RegistryProgram): Promise<SessionNode[]> {
  const logger = createLogger('bench', 'silent');
  const request = { role: '', prefixes: [], tags: [], uses: nodeCount, expiresInSeconds: 0, shared: false };
  const { token } = await call(registry.admin.createToken.bind(registry.admin), request);
  const ca = { certificate: await registry.ca() };
  const nodes: SessionNode[] = [];
  for (let first = 0; first < nodeCount; first += atOnce) {
    const names = Array.from({ length: atOnce }, (_, index) => `n${String(first + index)}`);
    const enrolled = await Promise.all(
      names.map(async (name) => ({ name, enrolled: await enrol(registry.address, ca, token, { name }) })),
    );
    for (const one of enrolled) nodes.push(startSessionNode({ ...one, registries: [registry.address], logger }));
  }
  await allRegistered(nodes);
  return nodes;
}

async function measure(registry: RegistryProgram, nodes: readonly SessionNode[]): Promise<string> {
  const [ready, half, all, cpu]: number[][] = [[], [], [], []];
  for (let run = 0; run < runs; run++) {
    await registry.stop('SIGKILL');
    await until('all nodes notice', () => nodes.every((node) => node.endpoint() === undefined), { within: patient });
    const begun = performance.now();
    await registry.start();
    ready?.push(performance.now() - begun);
    await until('half', () => nodes.filter((node) => node.registered()).length >= nodes.length / 2, {
      within: patient,
    });
    half?.push((performance.now() - begun) / 1000);
    await allRegistered(nodes);
    all?.push((performance.now() - begun) / 1000);
    cpu?.push(await cpuSeconds(registry.pid()));
  }
  const longest = Math.max(...(all ?? []));
  return formatRows(
    `${String(nodes.length)} nodes after kill -9 and start of the registry; the longest run: ${longest.toFixed(1)} s`,
    [
      { what: 'start until ready', values: ready ?? [], unit: 'ms' },
      { what: 'start until half are registered', values: half ?? [], unit: 's' },
      { what: 'start until all are registered', values: all ?? [], unit: 's' },
      { what: "CPU of the registry's process until then", values: cpu ?? [], unit: 's' },
    ],
  );
}

async function allRegistered(nodes: readonly SessionNode[]): Promise<void> {
  await until('all are registered', () => nodes.every((node) => node.registered()), { within: patient });
}

/** User and system, of a process; the kernel counts in hundredths. */
async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${String(pid)}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
