// The registry's own etcd: its sockets, its supervision, its refusals.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import { type EmbeddedEtcd, startEmbeddedEtcd } from '#registry/store/embedded-etcd.ts';
import { type OpenStore, openStore } from '#registry/store/store.ts';
import { until } from '#test/support/poll.ts';
import { nodeId, nodeRecord } from '#test/support/registry-fixtures.ts';

const logger = createLogger('test', process.env['DMWG_TEST_LOG'] ?? 'silent');
const within = 10_000;

async function stateDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-embedded-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function start(t: TestContext, dir: string): Promise<EmbeddedEtcd> {
  const etcd = await startEmbeddedEtcd({ dir, logger, signal: new AbortController().signal });
  t.after(() => etcd.stop());
  return etcd;
}

async function open(t: TestContext, etcd: EmbeddedEtcd): Promise<OpenStore> {
  const { endpoints } = etcd;
  const replica = { id: 'one', address: 'one.example:7443' };
  const store = await openStore({ endpoints, overlay: 'blue', replica, logger, clock: systemClock });
  t.after(() => store.close());
  return store;
}

/** The etcd processes that work in the directory. */
async function etcdsIn(dir: string): Promise<number[]> {
  const pids: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const [cwd, comm] = await Promise.all([
      readlink(`/proc/${entry}/cwd`).catch(() => ''),
      readFile(`/proc/${entry}/comm`, 'utf8').catch(() => ''),
    ]);
    if (cwd === join(dir, 'etcd') && comm.trim() === 'etcd') pids.push(Number(entry));
  }
  return pids;
}

async function killEtcd(dir: string): Promise<number> {
  const [pid] = await etcdsIn(dir);
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  return pid;
}

test('it keeps its data over a stop and a kill, and heals within seconds', async (t) => {
  const dir = await stateDir(t);
  const first = await start(t, dir);
  const put = { kind: 'node', record: nodeRecord(1) } as const;
  const store = await open(t, first);
  assert.ok((await store.commit({ absent: [], unchanged: [], put: [put], delete: [] })).ok);
  const killed = await killEtcd(dir);
  const begin = Date.now();
  await until('another etcd runs', async () => (await etcdsIn(dir)).some((pid) => pid !== killed), { within });
  const again = { kind: 'node', record: nodeRecord(2) } as const;
  const result = await store.commit({ absent: [], unchanged: [], put: [again], delete: [] });
  assert.deepEqual(result, { ok: true, value: undefined });
  assert.ok(Date.now() - begin < 3000, `${String(Date.now() - begin)} ms`);
  await store.close();
  const stopping = Date.now();
  await first.stop();
  assert.ok(Date.now() - stopping < 3000);
  assert.deepEqual(await etcdsIn(dir), []);
  const second = await open(t, await start(t, dir));
  assert.deepEqual([...second.snapshot().nodes.keys()].sort(), [nodeId(1), nodeId(2)]);
});

test('it listens on no port, and its directory is closed to others', async (t) => {
  const dir = await stateDir(t);
  await chmod(dir, 0o755);
  await start(t, dir);
  const [pid] = await etcdsIn(dir);
  const sockets = execFileSync('ss', ['-Hltnp'], { encoding: 'utf8' });
  assert.ok(!sockets.includes(`pid=${String(pid)},`), sockets);
  assert.equal((await stat(join(dir, 'etcd'))).mode & 0o777, 0o700);
});

test('a state directory with a long path works too', async (t) => {
  const dir = join(await stateDir(t), 'x'.repeat(120));
  await mkdir(dir);
  const store = await open(t, await start(t, dir));
  assert.ok(store.snapshot().replicas.has('one'));
});

test('a second registry on the same directory is refused and does no harm', async (t) => {
  const dir = await stateDir(t);
  const store = await open(t, await start(t, dir));
  await assert.rejects(startEmbeddedEtcd({ dir, logger, signal: new AbortController().signal }), /is in use/);
  const put = { kind: 'node', record: nodeRecord(1) } as const;
  assert.ok((await store.commit({ absent: [], unchanged: [], put: [put], delete: [] })).ok);
});

test('what is missing or unusable is said in one sentence', async (t) => {
  const dir = await stateDir(t);
  const path = process.env['PATH'];
  const programs = join(dir, 'bin');
  await mkdir(programs);
  await writeFile(join(programs, 'setpriv'), '', { mode: 0o755 });
  process.env['PATH'] = programs;
  t.after(() => {
    process.env['PATH'] = path;
  });
  const options = { dir, logger, signal: new AbortController().signal };
  await assert.rejects(startEmbeddedEtcd(options), /"etcd" is missing: install the Debian package etcd-server/);
  process.env['PATH'] = path;
  await writeFile(join(dir, 'etcd'), 'a file');
  await assert.rejects(startEmbeddedEtcd(options), /cannot use .*\/etcd for the data of etcd/);
  await rm(join(dir, 'etcd'));
  await mkdir(join(dir, 'etcd/data/member/snap'), { recursive: true });
  await writeFile(join(dir, 'etcd/data/member/snap/db'), 'no database'.repeat(1000));
  await assert.rejects(startEmbeddedEtcd(options), /etcd does not start: ./);
  assert.deepEqual(await etcdsIn(dir), []);
});

test('kill -9 of the registry leaves no etcd behind', async (t) => {
  const dir = await stateDir(t);
  const script = `
    import { startEmbeddedEtcd } from '#registry/store/embedded-etcd.ts';
    import { createLogger } from '#proto/kit/log.ts';
    const signal = new AbortController().signal;
    await startEmbeddedEtcd({ dir: ${JSON.stringify(dir)}, logger: createLogger('test', 'silent'), signal });
    console.log('ready');
  `;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  assert.equal((await etcdsIn(dir)).length, 1);
  child.kill('SIGKILL');
  await until('etcd is gone', async () => (await etcdsIn(dir)).length === 0, { within });
  // The sockets of the dead one do not stand in the way.
  await start(t, dir);
});
