// dmwg backup and dmwg restore, as commands: to another directory, and to a cluster.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { cieCode } from '#proto/model/nhrp.ts';
import { startTestCluster } from '#test/support/etcd.ts';
import { binary } from '#test/support/lab/service.ts';
import { resolution } from '#test/support/registry-fixtures.ts';
import { call } from '#test/support/registry-host.ts';
import { allWritten, register, type RegistryProgram, registryProgram } from '#test/support/registry-program.ts';
import { scratchDir } from './cli-registry.ts';

interface Done {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function dmwg(...argv: string[]): Promise<Done> {
  return new Promise((resolve) => {
    const child = execFile(binary('dmwg'), argv, (_error, out, err) => {
      resolve({ code: child.exitCode ?? -1, out, err });
    });
  });
}

async function succeeds(...argv: string[]): Promise<string> {
  const done = await dmwg(...argv);
  assert.equal(done.code, 0, done.err);
  return done.out;
}

/** In one line that says why. */
async function refused(why: RegExp, ...argv: string[]): Promise<void> {
  const done = await dmwg(...argv);
  assert.equal(done.code, 1, done.out);
  assert.match(done.err, why);
  assert.equal(done.err.trim().split('\n').length, 1, done.err);
}

async function scratch(t: TestContext): Promise<(name: string) => string> {
  const dir = await scratchDir();
  t.after(() => dir[Symbol.asyncDispose]());
  return (name) => join(dir.path, name);
}

async function overlay(t: TestContext, stateDir: string): Promise<RegistryProgram> {
  const registry = await registryProgram(t, stateDir);
  const settings = ['--registry-address', registry.address, '--overlay-name', 'lab', '--pool', '10.99.0.0/16'];
  await succeeds('init', '--state-dir', stateDir, ...settings);
  await registry.start();
  return registry;
}

test('a backup of a running registry becomes a registry in another place, which knows who must forget what', async (t) => {
  const at = await scratch(t);
  const registry = await overlay(t, at('old'));
  const { address } = registry;
  const [a, b] = [await registry.enrol('a'), await registry.enrol('b')];
  const session = await registry.connect(a);
  await register(session, a, 'a');
  await register(await registry.connect(b), b, 'b');
  session.say(resolution(a.response.address, b.response.address));
  assert.equal((await session.takeNhrp('resolution-reply')).body.cies[0]?.code, cieCode.ok);
  await allWritten(registry);

  const file = at('lab.dmwg');
  const from = ['--state-dir', at('old')];
  const to = ['--state-dir', at('new')];
  assert.match(await succeeds('backup', file, ...from), /Overlay lab is in .*: 2 nodes/);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  await refused(/lab\.dmwg exists/, 'backup', file, ...from);
  await refused(/in use: another dmwg-registry runs/, 'restore', file, ...from);

  await registry.enrol('later');
  await registry.stop('SIGTERM');
  await refused(/holds data that the backup does not have/, 'restore', file, ...from);
  await registry.start();
  assert.equal((await registry.enrol('last')).response.address, '10.99.0.4', 'what was refused did no harm');
  await registry.stop();

  await refused(/not a backup of dmwg/, 'restore', join(at('old'), 'ca.crt'), ...to);
  const content = await readFile(file, 'utf8');
  await writeFile(at('cut'), content.slice(0, -100));
  await refused(/is cut off/, 'restore', at('cut'), ...to);
  await writeFile(at('changed'), content.replace('10.99.0.1', '10.99.0.9'));
  await refused(/is damaged/, 'restore', at('changed'), ...to);
  await writeFile(at('newer'), content.replace('"version":1', '"version":2'));
  await refused(/has version 2; this program reads 1/, 'restore', at('newer'), ...to);
  await succeeds(
    'init',
    '--state-dir',
    at('other'),
    '--registry-address',
    address,
    '--overlay-name',
    'lab',
    '--pool',
    '10.99.0.0/16',
  );
  await refused(/of another overlay: its CA is not the backup's/, 'restore', file, '--state-dir', at('other'));

  assert.match(await succeeds('restore', file, ...to), /Overlay lab is restored in .*: 2 nodes/);
  assert.equal((await stat(join(at('new'), 'ca.key'))).mode & 0o777, 0o600);
  const restored = await registryProgram(t, at('new'), { address });
  await restored.start();
  await register(await restored.connect(b), b, 'moved');
  const back = await restored.connect(a);
  const request = await back.takeNhrp('purge-request');
  assert.deepEqual(
    request.body.cies.map((one) => one.protocolAddress),
    [b.response.address],
    'what it was told before the backup is purged after it',
  );
  const nodes = JSON.parse(await succeeds('show', 'nodes', '-o', 'json', ...to)) as readonly { readonly id: string }[];
  assert.deepEqual(nodes.map(({ id }) => id).sort(), [a, b].map(({ response }) => response.nodeId).sort());
  await refused(/in use/, 'restore', file, ...to);
});

test("a registry's own etcd is given up for a cluster: with its data, and without a node noticing", async (t) => {
  const at = await scratch(t);
  const registry = await overlay(t, at('reg'));
  const here = ['--state-dir', at('reg')];
  const a = await registry.enrol('a');
  await register(await registry.connect(a), a, 'a');
  await call(registry.admin.clear.bind(registry.admin), { address: '', all: true });
  await registry.stop('SIGTERM');
  const file = at('lab.dmwg');
  assert.match(await succeeds('backup', file, ...here), /1 nodes/, 'stopped, its etcd is started for the backup');

  const members = await startTestCluster(3);
  t.after(() => Promise.all(members.map((member) => member.close())));
  const cluster = members.flatMap(({ endpoint }) => ['--etcd', endpoint]);
  // An earlier attempt was interrupted.
  const [, ...lines] = (await readFile(file, 'utf8')).trim().split('\n');
  const some = lines
    .map((line) => JSON.parse(line) as { record?: string; value: string })
    .find(({ record }) => record?.startsWith('nodes/'));
  await members[0]?.ctl('put', `/dmwg/v1/lab/${some?.record ?? ''}`, some?.value ?? '');
  await succeeds('restore', file, ...here, ...cluster);
  assert.match(await readFile(join(at('reg'), 'registry.yaml'), 'utf8'), /etcd:\n\s+- http/);
  await rm(join(at('reg'), 'etcd'), { recursive: true });

  await registry.start();
  await members[1]?.kill();
  const session = await registry.connect(a);
  await register(session, a, 'a');
  assert.equal((await registry.enrol('b')).response.address, '10.99.0.2');
  await refused(/a registry runs on it/, 'restore', file, ...here);
  assert.match(await succeeds('backup', at('second.dmwg'), ...here), /2 nodes/);
});
