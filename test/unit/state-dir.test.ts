import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { checkOwner, openStateDir } from '#agent/io/state-dir.ts';
import { createKeyStore } from '#agent/io/state-dir-keys.ts';
import { createStateWriter, moveAside, readState, type StateFormat, writeState } from '#agent/io/state-file.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import { startStatusServer } from '#agent/io/status-server.ts';
import { socketPathOf } from '#agent/self.ts';
import { writeFileAtomic } from '#proto/kit/atomic-file.ts';
import { fail, must, ok, type Result } from '#proto/model/result.ts';
import { milliseconds } from '#proto/model/time.ts';
import { authority, issueNode, issueRegistry, nodeId } from '#test/support/pki.ts';

async function directory(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-state-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function writeStateDir(dir: string, identity: ClientIdentity): Promise<void> {
  const node = `{id: "${nodeId}", name: alice, role: spoke, address: 10.0.0.2}`;
  await writeFile(join(dir, 'agent.yaml'), `version: 1\noverlay: lab\nnode: ${node}\nregistry: ["192.0.2.1:7443"]\n`);
  await writeFile(join(dir, 'ca.crt'), identity.ca);
  await writeFile(join(dir, 'node.crt'), identity.certificate);
  await writeFile(join(dir, 'node.key'), identity.key.reveal(), { mode: 0o600 });
}

function faultOf(result: Result<unknown>): string {
  return result.ok ? 'none' : result.fault.message;
}

test('a state dir opens, and its key does not print', async (t) => {
  const dir = await directory(t);
  await writeStateDir(dir, await issueNode(await authority()));
  const state = must(await openStateDir(dir));
  assert.equal(state.config.node.id, nodeId);
  assert.doesNotMatch(inspect(state, { depth: 9 }), /PRIVATE/);
});

test('what is missing is named, with what to do', async (t) => {
  const dir = await directory(t);
  assert.match(faultOf(await openStateDir(join(dir, 'none'))), /does not exist: run `dmwg join` first/);
  const faults = faultOf(await openStateDir(dir));
  for (const file of ['agent.yaml', 'ca.crt', 'node.crt', 'node.key'])
    assert.ok(faults.includes(join(dir, file)), faults);
  await writeStateDir(dir, await issueNode(await authority()));
  await writeFile(join(dir, 'agent.yaml'), 'version: 1\n');
  assert.match(faultOf(await openStateDir(dir)), /agent\.yaml: overlay: is missing; node: is missing/);
});

test('open modes are refused', async (t) => {
  const dir = await directory(t);
  await writeStateDir(dir, await issueNode(await authority()));
  await chmod(join(dir, 'node.key'), 0o640);
  assert.match(faultOf(await openStateDir(dir)), /others may read .*node\.key \(mode 640\): run `chmod 600/);
  await chmod(join(dir, 'node.key'), 0o600);
  await chmod(dir, 0o770);
  assert.match(faultOf(await openStateDir(dir)), /others may write to .*: run `chmod 700/);
});

test('files that do not belong together are refused', async (t) => {
  const dir = await directory(t);
  const ca = await authority();
  const identity = await issueNode(ca);
  const other = await issueNode(ca);
  const cases: readonly (readonly [ClientIdentity, RegExp])[] = [
    [{ ...identity, key: other.key }, /node\.key is not the key of node\.crt/],
    [{ ...identity, ca: (await authority()).certificate }, /node\.crt is not signed by ca\.crt/],
    [{ ...identity, ca: 'nothing' }, /ca\.crt holds no certificate/],
    [await issueRegistry(ca), /not the certificate of node 0123456789abcdef of lab/],
  ];
  for (const [mixed, expected] of cases) {
    await writeStateDir(dir, mixed);
    assert.match(faultOf(await openStateDir(dir)), expected);
  }
});

test('a WireGuard key is made once, kept, and removed', async (t) => {
  const dir = await directory(t);
  const store = createKeyStore(dir);
  const [first, same] = await Promise.all([store.interfaceKey('dmwg0'), store.interfaceKey('dmwg0')]);
  assert.deepEqual(first, same);
  assert.deepEqual(await createKeyStore(dir).interfaceKey('dmwg0'), first);
  assert.equal((await stat(first.file)).mode & 0o777, 0o600);
  assert.equal((await stat(join(dir, 'keys'))).mode & 0o777, 0o700);
  assert.match(await readFile(first.file, 'utf8'), /^[A-Za-z0-9+/]{43}=\n$/);
  assert.deepEqual(await readdir(join(dir, 'keys')), ['dmwg0.key']);
  await store.removeKey('dmwg0');
  await store.removeKey('dmwg0');
  assert.notEqual((await store.interfaceKey('dmwg0')).publicKey, first.publicKey);
});

test('the public key is what wg derives', async (t) => {
  const dir = await directory(t);
  const { publicKey, file } = await createKeyStore(dir).interfaceKey('dmwg-h1');
  const derived = await new Promise<string>((resolve, reject) => {
    const child = execFile('wg', ['pubkey'], (error, stdout) => {
      if (error) reject(new Error(error.message));
      else resolve(stdout.trim());
    });
    readFile(file, 'utf8').then((key) => child.stdin?.end(key), reject);
  });
  assert.equal(publicKey, derived);
});

test('a key file that is none, or open, or outside, is an error and stays', async (t) => {
  const dir = await directory(t);
  const store = createKeyStore(dir);
  const { file } = await store.interfaceKey('dmwg0');
  await chmod(file, 0o644);
  await assert.rejects(store.interfaceKey('dmwg0'), /others may read/);
  await chmod(file, 0o600);
  await writeFile(file, 'garbage\n');
  await assert.rejects(store.interfaceKey('dmwg0'), /no WireGuard private key/);
  assert.equal(await readFile(file, 'utf8'), 'garbage\n');
  await assert.rejects(store.interfaceKey('../node'), /not the name of an interface/);
  await assert.rejects(store.removeKey('../node'), /not the name of an interface/);
});

interface Counter {
  readonly count: number;
}

const format: StateFormat<Counter> = {
  version: 2,
  parse: (content) =>
    typeof content === 'object' && content !== null && 'count' in content && typeof content.count === 'number'
      ? ok({ count: content.count })
      : fail('bad-state', 'count is missing'),
  format: (state) => state,
};

test('state is read as it was written; what is not is a fault', async (t) => {
  const file = join(await directory(t), 'state.json');
  assert.deepEqual(await readState(file, format), ok(undefined));
  await writeState(file, format, { count: 7 });
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(await readState(file, format), ok({ count: 7 }));
  for (const [text, code] of [
    ['{"version":2,"sta', 'corrupt-state'],
    ['[]', 'corrupt-state'],
    ['{"version":2,"state":{}}', 'corrupt-state'],
    ['{"version":3,"state":{"count":1}}', 'unknown-version'],
  ] as const) {
    await writeFile(file, text);
    const read = await readState(file, format);
    assert.equal(read.ok ? 'ok' : read.fault.code, code);
  }
  assert.equal(await moveAside(file), `${file}.bad`);
  assert.deepEqual(await readState(file, format), ok(undefined));
});

test('the writer writes the newest, seldom, and not twice', async (t) => {
  const dir = await directory(t);
  const file = join(dir, 'state.json');
  const errors: unknown[] = [];
  let formatted = 0;
  const counting: StateFormat<Counter> = {
    ...format,
    format: (state) => {
      formatted += 1;
      return state;
    },
  };
  const onError = (error: unknown): void => {
    errors.push(error);
  };
  const writer = createStateWriter({ file, format: counting, delay: milliseconds(60_000), onError });
  for (let count = 0; count <= 50; count += 1) writer.put({ count });
  assert.deepEqual(await readState(file, format), ok(undefined));
  await writer.flush();
  assert.deepEqual(await readState(file, format), ok({ count: 50 }));
  assert.equal(formatted, 1);
  const before = (await stat(file)).ino;
  writer.put({ count: 50 });
  await writer.flush();
  assert.equal((await stat(file)).ino, before);
  await rm(dir, { recursive: true });
  writer.put({ count: 51 });
  await writer.flush();
  assert.equal(errors.length, 1);
});

test('what belongs to another user is refused', () => {
  assert.match(faultOf(checkOwner('/x', 1000, 0)), /\/x belongs to the user 1000: run `chown -R 0 \/x`/);
  assert.equal(faultOf(checkOwner('/x', 0, 1000)), 'none');
  assert.equal(faultOf(checkOwner('/x', 1000, 1000)), 'none');
});

test('a file is written beside links, not through them, by several writers at once', async (t) => {
  const dir = await directory(t);
  const [file, victim] = [join(dir, 'file'), join(dir, 'victim')];
  await writeFile(victim, 'untouched');
  await symlink(victim, file);
  await symlink(victim, `${file}.tmp`);
  await Promise.all(Array.from({ length: 5 }, () => writeFileAtomic(file, 'content')));
  assert.equal(await readFile(victim, 'utf8'), 'untouched');
  assert.equal(await readFile(file, 'utf8'), 'content');
  assert.ok((await lstat(file)).isFile());
  assert.deepEqual((await readdir(dir)).sort(), ['file', 'file.tmp', 'victim']);
});

test('a second agent of a state dir is refused, whatever its run dir', async (t) => {
  const dir = await directory(t);
  const path = await socketPathOf(dir, join(dir, 'one'));
  const server = await startStatusServer({
    path,
    status: () => Promise.resolve({}),
    trace: () => undefined,
    reload: () => Promise.resolve(undefined),
    stop: () => undefined,
  });
  const second = socketPathOf(dir, join(dir, 'two'));
  await assert.rejects(second, /another agent is running with this state dir \(it answers on .*one\/agent\.sock\)/);
  await server.close();
  assert.equal(await socketPathOf(dir, join(dir, 'two')), join(dir, 'two', 'agent.sock'));
});
