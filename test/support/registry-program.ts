// The registry as a program: started, stopped, killed; on its own etcd or on a cluster.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { ChannelCredentials } from '@grpc/grpc-js';
import { parseProfile } from '#proto/codec/profile.ts';
import { AdminServiceClient } from '#proto/gen/dmwg/v1/admin.ts';
import { cieCode } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import { freePorts } from './etcd.ts';
import { binary } from './lab/service.ts';
import { until } from './poll.ts';
import { multipoint, registration } from './registry-fixtures.ts';
import { call, enrol, type EnrolledNode, type NodeSession, openSession } from './registry-host.ts';

/** Milliseconds. Programs start slowly on a busy machine. */
export const patient = 60_000;

export interface RegistryProgram {
  readonly stateDir: string;
  /** Where nodes reach it. */
  readonly address: string;
  readonly metrics: string;
  readonly admin: AdminServiceClient;
  /** PEM. */
  ca(): Promise<string>;
  /** Resolves when it is ready. */
  start(): Promise<void>;
  /** Resolves when it has ended. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Of the last start; -1 before. */
  pid(): number;
  log(): string;
  token(): Promise<string>;
  enrol(name: string): Promise<EnrolledNode>;
  /** Opens a session; it is closed with the test. */
  connect(node: EnrolledNode): Promise<NodeSession>;
}

/** For the state dir, which may come into being later. It is killed with the test. */
export async function registryProgram(
  t: TestContext,
  stateDir: string,
  more: { readonly address?: string; readonly arguments?: readonly string[] } = {},
): Promise<RegistryProgram> {
  const [port, http] = await freePorts(2);
  const address = more.address ?? `127.0.0.1:${String(port)}`;
  const admin = new AdminServiceClient(`unix:${join(stateDir, 'registry.sock')}`, ChannelCredentials.createInsecure());
  const argv = ['--state-dir', stateDir, '--listen', address, '--http', `127.0.0.1:${String(http)}`];
  let child: ChildProcess | undefined;
  let log = '';
  const stop = async (signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  };
  t.after(async () => {
    admin.close();
    await stop();
  });
  const ca = async (): Promise<string> =>
    must(parseProfile(await readFile(join(stateDir, 'admin.yaml'), 'utf8'))).caCertificate;
  const token = async (): Promise<string> => {
    const request = { role: '', prefixes: [], tags: [], uses: 0, expiresInSeconds: 0, shared: false };
    return (await call(admin.createToken.bind(admin), request)).token;
  };
  return {
    stateDir,
    address,
    metrics: `http://127.0.0.1:${String(http)}/metrics`,
    admin,
    ca,
    stop,
    pid: () => child?.pid ?? -1,
    log: () => log,
    start: async () => {
      log = '';
      child = spawn(binary('dmwg-registry'), [...argv, ...(more.arguments ?? [])], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
      await until('the registry is ready', () => log.includes('"msg":"ready"'), {
        within: patient,
        explain: () => log,
      });
    },
    token,
    enrol: async (name) => enrol(address, { certificate: await ca() }, await token(), { name }),
    connect: async ({ identity }) => {
      const session = openSession(address, identity);
      t.after(() => {
        session.close();
      });
      session.send({ type: 'hello', agentVersion: 'test' });
      await session.take('welcome');
      return session;
    },
  };
}

/** Registers the node with a key that `key` stands for. */
export async function register(session: NodeSession, { response }: EnrolledNode, key: string): Promise<void> {
  session.say(registration(response.address, [multipoint(key)]));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
}

/** All that nodes were told is in etcd. */
export async function allWritten({ metrics }: RegistryProgram): Promise<void> {
  await until(
    'etcd has what was told',
    async () => /^dmwg_registry_unwritten_answers 0$/m.test(await (await fetch(metrics)).text()),
    { within: patient },
  );
}
