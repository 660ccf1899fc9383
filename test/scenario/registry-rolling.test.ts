// Three replicas, drained and started again one after the other, while nodes register, move, ask and are purged: nothing is lost.
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { createLogger } from '#proto/kit/log.ts';
import { freePorts, startTestEtcd } from '#test/support/etcd.ts';
import { until } from '#test/support/poll.ts';
import { patient, type RegistryProgram, registryProgram } from '#test/support/registry-program.ts';
import { type SessionNode, startSessionNode } from '#test/support/session-node.ts';
import { dmwg, scratchDir } from './cli-registry.ts';

const logger = createLogger('test', process.env['DMWG_TEST_LOG'] ?? 'silent');
const nodeCount = 24;

test('a rolling restart of all replicas, each drained before', async (t) => {
  const etcd = await startTestEtcd();
  t.after(() => etcd.close());
  const dir = await scratchDir();
  t.after(() => dir[Symbol.asyncDispose]());
  const addresses = (await freePorts(3)).map((port) => `127.0.0.1:${String(port)}`);
  const stateDir = (index: number): string => join(dir.path, `registry-${String(index)}`);
  const settings = [
    '--overlay-name',
    'lab',
    '--pool',
    '10.99.0.0/16',
    '--fallback-time',
    '1s',
    '--etcd',
    etcd.endpoint,
  ];
  const made = await dmwg(['init', '--state-dir', stateDir(0), '--registry-address', addresses[0] ?? '', ...settings]);
  assert.equal(made.code, 0, made.err);
  const replicas: RegistryProgram[] = [];
  for (const [index, address] of addresses.entries()) {
    if (index > 0)
      await cp(stateDir(0), stateDir(index), { recursive: true, filter: (path) => !path.endsWith('.sock') });
    const own = ['--advertise', address, '--public', address];
    const replica = await registryProgram(t, stateDir(index), { address, arguments: own });
    await replica.start();
    replicas.push(replica);
  }
  const [first] = replicas;
  assert.ok(first);

  const nodes: SessionNode[] = [];
  t.after(() => Promise.all(nodes.map((node) => node.stop())));
  for (let number = 0; number < nodeCount; number++) {
    const name = `n${String(number)}`;
    const enrolled = await first.enrol(name);
    nodes.push(
      startSessionNode({ name, enrolled, registries: [addresses[number % 3] ?? ''], logger, fallbackTime: 1000 }),
    );
  }
  const allRegistered = (): Promise<boolean> =>
    until('all nodes are registered', () => nodes.every((node) => node.registered()), {
      within: patient,
      explain: () =>
        nodes.flatMap((node) => (node.registered() ? [] : [`${node.name} ${String(node.endpoint())}`])).join('; '),
    });
  await allRegistered();
  assert.equal(new Set(nodes.map((node) => node.endpoint())).size, 3);

  let moves = 0;
  const traffic = setInterval(() => {
    moves += 1;
    const [mover, asker, target] = [7, 3, 5].map((step) => nodes[(moves * step) % nodeCount]);
    if (moves % 3 === 0) mover?.move(`key ${String(moves)}`);
    else if (asker !== target) asker?.ask(target?.address ?? '');
  }, 10);
  t.after(() => {
    clearInterval(traffic);
  });

  for (const [index, replica] of replicas.entries()) {
    const other = stateDir((index + 1) % replicas.length);
    const drained = await dmwg(['drain', replica.address, '--state-dir', other, '--timeout', '60s'], {
      interrupted: new AbortController().signal,
    });
    assert.equal(drained.code, 0, `${drained.err}${replicas.map((one) => one.log()).join('')}`);
    assert.match(drained.out, /nobody uses it, and it is safe to stop/);
    assert.match(await (await fetch(replica.metrics)).text(), /^dmwg_registry_sessions 0$/m);
    const ends = nodes.map((node) => node.ends());
    await replica.stop('SIGTERM');
    await allRegistered();
    assert.deepEqual(
      nodes.map((node) => node.ends()),
      ends,
      'its stop ends no session',
    );
    await replica.start();
  }
  const before = moves;
  await until('traffic goes on', () => moves > before + 100, { within: patient });
  clearInterval(traffic);

  await allRegistered();
  const stale = (): string[] =>
    nodes.flatMap((node) =>
      nodes.flatMap((other) => {
        const known = node.known(other.address);
        return known === undefined || known === other.key() ? [] : [`${node.name} of ${other.name}`];
      }),
    );
  await until('nobody knows an old key', () => stale().length === 0, {
    within: patient,
    explain: () => stale().join('; '),
  });
  const rows = await dmwg(['show', 'nodes', '-o', 'json', '--state-dir', stateDir(2)]);
  const shown = JSON.parse(rows.out) as readonly { readonly name: string; readonly registered: boolean }[];
  assert.equal(shown.filter(({ registered }) => registered).length, nodeCount);
});
