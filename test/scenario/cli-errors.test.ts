import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { status } from '@grpc/grpc-js';
import { formatJoinToken } from '#proto/codec/join-token.ts';
import { createCsr, fingerprint, issueCertificate, pemOf } from '#proto/kit/certificate.ts';
import { Secret } from '#proto/kit/secret.ts';
import { parseNodeId } from '#proto/model/names.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';
import { dmwg, initArguments, refuse, scratchDir, startRegistry } from './cli-registry.ts';

test('what goes wrong on the way to the registry is one line that says what to do', async (t) => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(
    dir.path,
    {
      listNodes: () => {
        throw refuse(status.PERMISSION_DENIED, 'this node was revoked: join again');
      },
      listRoutes: () => new Promise(() => undefined),
    },
    '0.0.0.0:0',
  );
  const profilePath = join(registry.stateDir, 'admin.yaml');
  const profile = await readFile(profilePath, 'utf8');
  const at = async (address: string, source = profile): Promise<string> => {
    const path = join(dir.path, 'profile.yaml');
    await writeFile(path, source.replace(registry.address, address));
    const ran = await dmwg(['show', 'nodes', '--profile', path]);
    assert.equal(ran.code, 1);
    assert.equal(ran.err.split('\n').length, 2, ran.err);
    return ran.err;
  };
  assert.equal(await at(registry.address), 'dmwg: this node was revoked: join again\n');
  assert.match(await at('127.0.0.1:1'), /nothing listens at 127\.0\.0\.1:1; start dmwg-registry/);
  assert.match(await at('no-such-name.invalid:7443'), /the name in no-such-name\.invalid:7443 cannot be resolved/);
  // The same registry under another address is itself.
  assert.equal(
    await at(registry.address.replace('127.0.0.1', '127.0.0.2')),
    'dmwg: this node was revoked: join again\n',
  );
  assert.match(
    await at(registry.address, profile.replace('version: 1', 'version: 9')),
    /is not a good admin profile: version/,
  );

  await mkdir(join(dir.path, 'other'));
  await using other = await startRegistry(join(dir.path, 'other'));
  assert.match(await at(other.address), /is of another CA than this profile/);

  const plain = createTcpServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((done) => plain.listen(0, '127.0.0.1', done));
  t.after(() => plain.close());
  const bound = plain.address();
  const port = typeof bound === 'object' && bound ? bound.port : 0;
  assert.match(await at(`127.0.0.1:${String(port)}`), /does not speak as a registry; check the port/);

  const started = performance.now();
  const silent = await dmwg(['show', 'routes', '--state-dir', registry.stateDir]);
  assert.match(silent.err, /did not answer within 15 s/);
  assert.ok(performance.now() - started < 25_000);
});

test('nothing that leads to a registry is an error that says what to give', async () => {
  await using dir = await scratchDir();
  const ran = await dmwg(['show', 'nodes', '--state-dir', dir.path]);
  assert.equal(ran.code, 1);
  assert.match(ran.err, /is not the state dir of a registry or a node/);
  const profile = await dmwg(['show', 'nodes'], { environment: { DMWG_PROFILE: join(dir.path, 'x') } });
  assert.match(profile.err, /x does not exist; check the path/);
});

test('a node of the same overlay cannot pass for its registry', async (t) => {
  await using dir = await scratchDir();
  const stateDir = join(dir.path, 'registry');
  assert.equal((await dmwg(initArguments(stateDir))).code, 0);
  const ca = await readFile(join(stateDir, 'ca.crt'), 'utf8');
  const { csr, key } = await createCsr('mallory');
  const issued = must(
    await issueCertificate({
      ca,
      caKey: new Secret(await readFile(join(stateDir, 'ca.key'), 'utf8')),
      csr,
      identity: { kind: 'node', overlay: 'lab', id: must(parseNodeId('0123456789abcdef')) },
      name: 'localhost',
      validity: seconds(3600),
      usage: 'both',
      ipAddresses: ['127.0.0.1'],
      now: Date.now() as Timestamp,
    }),
  );
  const cert = pemOf(issued.certificate) + ca;
  const server = createTlsServer({ key: key.reveal(), cert, ALPNProtocols: ['h2'] }, (socket) => socket.end());
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.close());
  const bound = server.address();
  const address = `127.0.0.1:${String(typeof bound === 'object' && bound ? bound.port : 0)}`;
  const profile = join(stateDir, 'admin.yaml');
  await writeFile(profile, (await readFile(profile, 'utf8')).replace('127.0.0.1:7443', address));
  const ran = await dmwg(['show', 'nodes', '--profile', profile]);
  assert.equal(ran.code, 1);
  assert.match(ran.err, /is not the registry: .*not that of a registry of overlay lab/);
  const secret = new Secret(new Uint8Array(32));
  const token = formatJoinToken({ registry: [address], caPin: fingerprint(ca), id: 't', secret }).reveal();
  const joined = await dmwg(['join', token, '--state-dir', join(dir.path, 'n'), '--name', 'a']);
  assert.equal(joined.code, 1);
  assert.match(joined.err, /is not the registry of this overlay/);
});
