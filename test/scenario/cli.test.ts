import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { parseRegistryConfig } from '#proto/codec/registry-config.ts';
import { must } from '#proto/model/result.ts';
import { dmwg, initArguments, scratchDir } from './cli-registry.ts';

test('init writes a registry that its own parser takes, and refuses a second time', async () => {
  await using dir = await scratchDir();
  const stateDir = join(dir.path, 'registry');
  const tuned = ['--pool6', 'fd00:100::/64', '--summary', '192.168.0.0/16', '--bfd-interval', '100ms', '--phase', '1'];
  const made = await dmwg([...initArguments(stateDir), ...tuned, '-o', 'json']);
  assert.equal(made.code, 0, made.err);
  assert.equal((JSON.parse(made.out) as { profile: string }).profile, join(stateDir, 'admin.yaml'));
  const config = must(parseRegistryConfig(await readFile(join(stateDir, 'registry.yaml'), 'utf8')));
  assert.deepEqual([config.overlay, config.phase, config.bfdInterval, config.listen], ['lab', 1, 100, '0.0.0.0:7443']);
  assert.match(config.linkPrefix, /^fd[0-9a-f]{2}:[0-9a-f:]+\/64$/);
  assert.equal((await stat(stateDir)).mode & 0o777, 0o700);
  for (const name of await readdir(stateDir)) {
    assert.equal((await stat(join(stateDir, name))).mode & 0o077, 0, name);
  }
  assert.equal((await dmwg(initArguments(stateDir))).code, 1);
  assert.deepEqual(await readdir(dir.path), ['registry']);
});

test('init names every wrong argument and writes nothing', async () => {
  await using dir = await scratchDir();
  const wrong = [
    '--pool6',
    '10.0.0.0/8',
    '--summary',
    '1.2.3.4/33',
    '--phase',
    '4',
    '--mtu',
    '100',
    '--holding-time',
    '1w',
  ];
  const made = await dmwg([...initArguments(join(dir.path, 'r')), ...wrong]);
  assert.equal(made.code, 2);
  for (const flag of ['--pool6', '--summary', '--phase', '--mtu', '--holding-time'])
    assert.ok(made.err.includes(`${flag}: `), flag);
  assert.deepEqual(await readdir(dir.path), []);
});

test('wrong usage ends with 2 and one line', async () => {
  for (const argv of [
    [],
    ['frob'],
    ['show', 'nodez'],
    ['status', '--frob'],
    ['show', 'nodes', '-o', 'xml'],
    ['join'],
  ]) {
    const ran = await dmwg(argv);
    assert.equal(ran.code, 2, argv.join(' '));
    assert.match(
      ran.err,
      /^dmwg: [^\n]+; see dmwg --help\n$|^dmwg: which command\? See dmwg --help\n$/,
      argv.join(' '),
    );
  }
  const help = await dmwg(['token', 'create', '--help']);
  assert.deepEqual([help.code, help.err], [0, '']);
  assert.match((await dmwg(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
});
