// The registry as a program, with its own etcd, that is killed and started again.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { ChannelCredentials } from '@grpc/grpc-js';
import { parseProfile } from '#proto/codec/profile.ts';
import { AdminServiceClient } from '#proto/gen/dmwg/v1/admin.ts';
import { cieCode } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import { freePorts } from '#test/support/etcd.ts';
import { binary } from '#test/support/lab/service.ts';
import { until } from '#test/support/poll.ts';
import { multipoint, registration, resolution } from '#test/support/registry-fixtures.ts';
import { call, enrol, type EnrolledNode, type NodeSession, openSession } from '#test/support/registry-host.ts';
import { dmwg, scratchDir } from './cli-registry.ts';

/** Milliseconds. Programs start slowly on a busy machine. */
const patient = 30_000;

interface Running {
  readonly address: string;
  readonly metrics: string;
  readonly admin: AdminServiceClient;
  readonly ca: string;
  start(): Promise<void>;
  kill(): Promise<void>;
}

async function programFor(t: TestContext): Promise<Running> {
  const dir = await scratchDir();
  t.after(() => dir[Symbol.asyncDispose]());
  const stateDir = join(dir.path, 'registry');
  const [port, http] = await freePorts(2);
  const address = `127.0.0.1:${String(port)}`;
  const settings = ['--registry-address', address, '--overlay-name', 'lab', '--pool', '10.99.0.0/16'];
  const made = await dmwg(['init', '--state-dir', stateDir, ...settings]);
  assert.equal(made.code, 0, made.err);
  const { caCertificate } = must(parseProfile(await readFile(join(stateDir, 'admin.yaml'), 'utf8')));
  const admin = new AdminServiceClient(`unix:${join(stateDir, 'registry.sock')}`, ChannelCredentials.createInsecure());
  const argv = ['--state-dir', stateDir, '--listen', address, '--http', `127.0.0.1:${String(http)}`];
  let child: ChildProcess | undefined;
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  t.after(async () => {
    admin.close();
    await kill();
  });
  return {
    address,
    metrics: `http://127.0.0.1:${String(http)}/metrics`,
    admin,
    ca: caCertificate,
    kill,
    start: async () => {
      let log = '';
      child = spawn(binary('dmwg-registry'), argv, { stdio: ['ignore', 'ignore', 'pipe'] });
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
      await until('the registry is ready', () => log.includes('"msg":"ready"'), {
        within: patient,
        explain: () => log,
      });
    },
  };
}

test('killed and started again, the registry knows who must forget what', async (t) => {
  const registry = await programFor(t);
  await registry.start();
  const token = async (): Promise<string> => {
    const request = { role: '', prefixes: [], tags: [], uses: 0, expiresInSeconds: 0 };
    return (await call(registry.admin.createToken.bind(registry.admin), request)).token;
  };
  const ca = { certificate: registry.ca };
  const a = await enrol(registry.address, ca, await token(), { name: 'a' });
  const b = await enrol(registry.address, ca, await token(), { name: 'b' });
  const sessions: NodeSession[] = [];
  t.after(() => {
    for (const session of sessions) session.close();
  });
  const connect = async ({ identity }: EnrolledNode): Promise<NodeSession> => {
    const session = openSession(registry.address, identity);
    sessions.push(session);
    session.send({ type: 'hello', agentVersion: 'test' });
    await session.take('welcome');
    return session;
  };
  const register = async (session: NodeSession, { response }: EnrolledNode, key: string): Promise<void> => {
    session.say(registration(response.address, [multipoint(key)]));
    assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
  };
  const first = await connect(a);
  await register(first, a, 'a');
  await register(await connect(b), b, 'b');
  first.say(resolution(a.response.address, b.response.address));
  assert.equal((await first.takeNhrp('resolution-reply')).body.cies[0]?.code, cieCode.ok);
  await until(
    'etcd has what was told',
    async () => /^dmwg_registry_unwritten_answers 0$/m.test(await (await fetch(registry.metrics)).text()),
    { within: patient },
  );

  await registry.kill();
  await registry.start();
  await register(await connect(b), b, 'moved');
  const session = await connect(a);
  const request = await session.takeNhrp('purge-request');
  assert.deepEqual(
    request.body.cies.map((one) => one.protocolAddress),
    [b.response.address],
  );

  // Not acknowledged: the next session gets it as well.
  await registry.kill();
  await registry.start();
  const next = await connect(a);
  const again = await next.takeNhrp('purge-request');
  assert.deepEqual(again.body.cies, request.body.cies);
});
