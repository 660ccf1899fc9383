import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test from 'node:test';
import { status } from '@grpc/grpc-js';
import { dmwg, refuse, scratchDir, startRegistry } from './cli-registry.ts';

test('status shows what the agent says; down and leave run its program', async (t) => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path);
  const node = join(dir.path, 'n');
  assert.equal((await dmwg(['join', registry.token(), '--state-dir', node, '--name', 'spoke1'])).code, 0);
  const command = ['status', '--state-dir', node];
  const dead = await dmwg(command);
  assert.deepEqual(dead, {
    code: 1,
    out: '',
    err: `dmwg: the agent is not running; start it with dmwg-agent --state-dir ${node}\n`,
  });

  const said = {
    node: 'spoke1',
    role: 'spoke',
    address: '10.100.0.2',
    registry: { connected: true, endpoint: registry.address },
    hubs: [{ node: 'hub1', address: '10.100.0.1', priority: 0, state: 'up', active: true, rttMs: 1.25 }],
    peers: [
      {
        node: 's2',
        address: '10.100.0.3',
        path: 'hub',
        state: 'failed',
        endpoint: null,
        bfd: 'down',
        rttMs: null,
        reason: 'no answer',
      },
    ],
    shortcuts: [{ prefix: '10.100.0.3/32', node: 's2', expiresIn: 60 }],
  };
  const agent = createServer((_request, response) => response.end(JSON.stringify(said)));
  const socket = join(dir.path, 'agent.sock');
  await new Promise<void>((done) => agent.listen(socket, done));
  t.after(() => agent.close());
  await writeFile(join(node, 'agent.socket-path'), `${socket}\n`);
  assert.deepEqual(JSON.parse((await dmwg([...command, '-o', 'json'])).out), said);
  const text = await dmwg(command);
  assert.equal(text.code, 0, text.err);
  assert.match(text.out, /hub1 +10\.100\.0\.1 +0 +up +yes +1\.3 ms/);
  const stop = new AbortController();
  agent.once('request', () => {
    stop.abort();
  });
  assert.equal(
    (await dmwg([...command, '--watch', '-o', 'json'], { interrupted: stop.signal })).out,
    `${JSON.stringify(said)}\n`,
  );
  agent.close();

  const program = join(dir.path, 'cli.cjs');
  const notes = join(dir.path, 'notes');
  const script = `require('fs').writeFileSync(${JSON.stringify(notes)}, process.argv.slice(2).join(' ')); process.exit(Number(process.env.CODE ?? 0));`;
  await writeFile(join(dir.path, 'agent.cjs'), script);
  const down = await dmwg(['down', '--state-dir', node, '--interface-prefix', 'lab'], { program });
  assert.equal(down.code, 0, down.err);
  assert.equal(await readFile(notes, 'utf8'), `down --state-dir ${node} --interface-prefix lab`);

  const config = join(node, 'agent.yaml');
  const good = await readFile(config, 'utf8');
  await writeFile(config, good.replace(registry.address, '127.0.0.1:1'));
  const kept = await dmwg(['leave', '--state-dir', node], { program });
  assert.equal(kept.code, 1);
  assert.match(kept.err, /nothing listens .*nothing was changed: try again, or go on with --force/);
  assert.ok((await readdir(node)).includes('node.key'));
  await writeFile(config, good);
  const left = await dmwg(['leave', '--state-dir', node], { program });
  assert.equal(left.code, 0, left.err);
  assert.equal(registry.calls.at(-1)?.method, 'leave');
  assert.deepEqual(await readdir(node), []);
  await rm(node, { recursive: true });
});

test('a revoked node leaves without --force, and a failed take-down is done again by a second leave', async () => {
  await using dir = await scratchDir();
  let forgotten = false;
  const leave = (): object => {
    if (forgotten) throw refuse(status.PERMISSION_DENIED, 'node a was revoked or has left', 'revoked');
    forgotten = true;
    return {};
  };
  await using registry = await startRegistry(dir.path, { leave });
  const node = join(dir.path, 'n');
  assert.equal((await dmwg(['join', registry.token(), '--state-dir', node, '--name', 'a'])).code, 0);
  const program = join(dir.path, 'cli.cjs');
  await writeFile(join(dir.path, 'agent.cjs'), 'process.exit(3);');
  const failed = await dmwg(['leave', '--state-dir', node], { program });
  assert.equal(failed.code, 3);
  assert.match(failed.err, /de-registered, but not taken down; run dmwg leave/);
  await writeFile(join(dir.path, 'agent.cjs'), '');
  const left = await dmwg(['leave', '--state-dir', node], { program });
  assert.equal(left.code, 0, left.err);
  assert.match(left.out, /had forgotten this node before/);
  assert.deepEqual(await readdir(node), []);
});
