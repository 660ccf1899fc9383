import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { status } from '@grpc/grpc-js';
import { must } from '#proto/model/result.ts';
import { parseAgentConfig } from '#proto/codec/agent-config.ts';
import { dmwg, initArguments, nodeId, refuse, scratchDir, spoke, startRegistry } from './cli-registry.ts';

async function mode(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

test('a machine joins with a token from a file, asks as a node, and gives no orders', async () => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path, { listNodes: () => ({ nodes: [spoke] }) });
  await writeFile(join(dir.path, 'token'), `${registry.token()}\n`);
  const node = join(dir.path, 'nodes', 'spoke1');

  const joined = await dmwg([
    ...['join', `@${join(dir.path, 'token')}`, '--state-dir', node, '--name', 'spoke1'],
    ...['--prefix', '192.168.7.0/24', '-o', 'json'],
  ]);
  assert.deepEqual({ code: joined.code, err: joined.err }, { code: 0, err: '' });
  assert.deepEqual(JSON.parse(joined.out), {
    id: nodeId,
    name: 'spoke1',
    role: 'spoke',
    overlay: 'lab',
    address: '10.100.0.2',
    address6: null,
    prefixes: ['192.168.7.0/24'],
    stateDir: node,
  });
  assert.deepEqual((await readdir(node)).sort(), ['agent.yaml', 'ca.crt', 'node.crt', 'node.key']);
  assert.equal(await mode(node), '700');
  assert.equal(await mode(join(node, 'node.key')), '600');
  const config = must(parseAgentConfig(await readFile(join(node, 'agent.yaml'), 'utf8')));
  assert.deepEqual([config.node.name, config.registry], ['spoke1', [registry.address]]);

  const again = await dmwg(['join', registry.token(), '--state-dir', node]);
  assert.equal(again.code, 1);
  assert.match(again.err, /already holds a node; take it out with "dmwg leave/);

  const shown = await dmwg(['show', 'nodes', '--state-dir', node, '-o', 'json']);
  assert.equal(shown.code, 0, shown.err);
  assert.equal(registry.calls.at(-1)?.peer, `URI:dmwg://lab/node/${nodeId}`);

  const order = await dmwg(['token', 'create', '--state-dir', node]);
  assert.equal(order.code, 1);
  assert.match(order.err, /^dmwg: "dmwg token create" is for operators and .* is a node's; give --profile FILE/);
});

test('the token may come from standard input, and the first registry of several may be away', async () => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path);
  const token = registry.token({ addresses: ['127.0.0.1:1', registry.address] });
  const arguments_ = [
    'join',
    '-',
    '--state-dir',
    join(dir.path, 'n'),
    '--role',
    'hub',
    '--endpoint',
    '192.0.2.1:51820',
  ];
  const joined = await dmwg(arguments_, { input: `${token.slice(0, 40)}\n${token.slice(40)}\n` });
  assert.equal(joined.code, 0, joined.err);
  const config = must(parseAgentConfig(await readFile(join(dir.path, 'n', 'agent.yaml'), 'utf8')));
  assert.deepEqual([config.node.role, config.endpoints], ['hub', ['192.0.2.1:51820']]);
});

test('a registry with another CA learns nothing of the token', async () => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path);
  const joined = await dmwg(['join', registry.token({ pin: 'ab'.repeat(32) }), '--state-dir', join(dir.path, 'n')]);
  assert.equal(joined.code, 1);
  assert.match(joined.err, /does not have the CA that this token names/);
  assert.deepEqual(registry.calls, []);
  assert.deepEqual(await readdir(dir.path), ['registry']);
});

test('a refused enrolment leaves nothing behind', async () => {
  await using dir = await scratchDir();
  const enrol = (): never => {
    throw refuse(status.PERMISSION_DENIED, 'the join token has expired: ask for a new one');
  };
  await using registry = await startRegistry(dir.path, { enrol });
  const joined = await dmwg(['join', registry.token(), '--state-dir', join(dir.path, 'n'), '--name', 'a']);
  assert.deepEqual(joined, { code: 1, out: '', err: 'dmwg: the join token has expired: ask for a new one\n' });
  assert.deepEqual(await readdir(dir.path), ['registry']);
});

test('an answer that cannot be kept is given back to the registry', async () => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path);
  const node = join(dir.path, 'n');
  // What is to be a file is a directory with content.
  await mkdir(join(node, 'node.key', 'x'), { recursive: true });
  const joined = await dmwg(['join', registry.token(), '--state-dir', node, '--name', 'a']);
  assert.equal(joined.code, 1);
  assert.deepEqual(
    registry.calls.map(({ method }) => method),
    ['enrol', 'leave'],
  );
  assert.deepEqual(await readdir(node), ['node.key']);
});

test('every wrong argument of join is named at once, and the registry is not asked', async () => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path);
  const node = join(dir.path, 'n');
  const wrong = ['--name', 'A_b', '--role', 'hub', '--prefix', '10.0.0.1/8', '--address', 'x'];
  const joined = await dmwg(['join', registry.token(), '--state-dir', node, ...wrong]);
  assert.equal(joined.code, 2);
  for (const flag of ['--name', '--prefix', '--endpoint', '--address'])
    assert.ok(joined.err.includes(`${flag}: `), flag);
  assert.equal(joined.err.split('\n').length, 2);
  assert.deepEqual(registry.calls, []);

  const damaged = await dmwg(['join', registry.token().slice(0, -3), '--state-dir', node]);
  assert.equal(damaged.code, 2);
  assert.match(damaged.err, /join token is incomplete or damaged/);
  const missing = await dmwg(['join', '@/nonexistent', '--state-dir', node]);
  assert.deepEqual([missing.code, missing.err], [1, 'dmwg: cannot read the token from /nonexistent (ENOENT)\n']);
});

test('the state dir of a registry does not become that of a node, nor the other way round', async () => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path);
  const joined = await dmwg(['join', registry.token(), '--state-dir', registry.stateDir]);
  assert.match(joined.err, /is the state dir of a registry/);
  const again = await dmwg(initArguments(registry.stateDir));
  assert.equal(again.code, 1);
  assert.match(again.err, /already holds a registry/);
});
