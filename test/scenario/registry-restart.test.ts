// The registry as a program, with its own etcd, that is killed and started again.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { cieCode } from '#proto/model/nhrp.ts';
import { resolution } from '#test/support/registry-fixtures.ts';
import { allWritten, register, registryProgram } from '#test/support/registry-program.ts';
import { dmwg, scratchDir } from './cli-registry.ts';

test('killed and started again, the registry knows who must forget what', async (t) => {
  const dir = await scratchDir();
  t.after(() => dir[Symbol.asyncDispose]());
  const stateDir = join(dir.path, 'registry');
  const registry = await registryProgram(t, stateDir);
  const settings = ['--registry-address', registry.address, '--overlay-name', 'lab', '--pool', '10.99.0.0/16'];
  const made = await dmwg(['init', '--state-dir', stateDir, ...settings]);
  assert.equal(made.code, 0, made.err);
  await registry.start();
  const a = await registry.enrol('a');
  const b = await registry.enrol('b');
  const first = await registry.connect(a);
  await register(first, a, 'a');
  await register(await registry.connect(b), b, 'b');
  first.say(resolution(a.response.address, b.response.address));
  assert.equal((await first.takeNhrp('resolution-reply')).body.cies[0]?.code, cieCode.ok);
  await allWritten(registry);

  await registry.stop();
  await registry.start();
  await register(await registry.connect(b), b, 'moved');
  const session = await registry.connect(a);
  const request = await session.takeNhrp('purge-request');
  assert.deepEqual(
    request.body.cies.map((one) => one.protocolAddress),
    [b.response.address],
  );

  // Not acknowledged: the next session gets it as well.
  await registry.stop();
  await registry.start();
  const next = await registry.connect(a);
  const again = await next.takeNhrp('purge-request');
  assert.deepEqual(again.body.cies, request.body.cies);
});
