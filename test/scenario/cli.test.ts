import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { status } from '@grpc/grpc-js';
import { parse } from 'yaml';
import { parseRegistryConfig } from '#proto/codec/registry-config.ts';
import { must } from '#proto/model/result.ts';
import { dmwg, initArguments, refuse, scratchDir, spoke, startRegistry } from './cli-registry.ts';

const binding = {
  prefix: '192.168.7.0/24',
  node: 'spoke1',
  address: '10.100.0.2',
  nbma: ['198.51.100.9:40000', '192.168.7.1:51820'],
  type: 'dynamic',
  flags: ['unique', 'registered', 'nat'],
  createdMs: 1_700_000_000_000n,
  expiresInSeconds: 7100,
};

const overlay = {
  name: 'lab',
  phase: 1,
  pool: '10.100.0.0/16',
  pool6: '',
  summaries: ['10.0.0.0/8'],
  linkPrefix: 'fd00::/64',
  holdingTimeSeconds: 7200,
  negativeHoldingTimeSeconds: 30,
  idleTimeoutSeconds: 300,
  bfdIntervalMs: 300,
  bfdMultiplier: 3,
  mtu: 1420,
};

const resolved = {
  message: {
    addressFamily: 1,
    protocolType: 0x0800,
    hopCount: 16,
    requestId: 1,
    sourceNbma: '',
    sourceProtocolAddress: '0.0.0.0',
    destinationProtocolAddress: '192.168.7.20',
    extensions: [],
    body: {
      $case: 'resolutionReply',
      value: {
        router: false,
        authoritative: true,
        destinationStable: false,
        unique: false,
        sourceStable: false,
        cies: [
          {
            code: 0,
            prefixLength: 24,
            mtu: 0,
            holdingTimeSeconds: 7100,
            nbma: ['198.51.100.9:40000'],
            protocolAddress: '10.100.0.2',
            preference: 255,
          },
        ],
        target: undefined,
      },
    },
  },
};

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
    const open = (await stat(join(stateDir, name))).mode & 0o077;
    assert.equal(open === 0, /\.key$|^admin/.test(name), name);
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

test('show prints the promised fields, through the socket and through the profile', async () => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path, {
    listNodes: () => ({ nodes: [spoke] }),
    listBindings: () => ({ bindings: [binding] }),
    listRoutes: () => ({ routes: [{ prefix: '192.168.7.0/24', node: 'spoke1', preference: 255, active: true }] }),
    listEvents: () => ({ events: [{ timeMs: 1n, kind: 'node.registered', node: 'spoke1', detail: '\u001b[31mred' }] }),
    getOverlay: () => ({ overlay }),
  });
  const environment = { DMWG_STATE_DIR: registry.stateDir };
  const profile = ['--profile', join(registry.stateDir, 'admin.yaml'), '-o', 'json'];

  const nodes = await dmwg(['show', 'nodes', ...profile]);
  assert.equal(nodes.code, 0, nodes.err);
  assert.equal(registry.calls.at(-1)?.peer, 'URI:dmwg://lab/admin/admin');
  assert.deepEqual(JSON.parse(nodes.out), [
    {
      id: '0123456789abcdef',
      name: 'spoke1',
      role: 'spoke',
      address: '10.100.0.2',
      address6: null,
      prefixes: ['192.168.7.0/24'],
      endpoints: spoke.endpoints,
      registered: true,
      registeredAt: '2023-11-14T22:13:20.000Z',
      expiresIn: 7200,
      nat: true,
      connected: true,
      tags: ['branch'],
      agentVersion: '0.1.0',
    },
  ]);
  const bindings = await dmwg(['show', 'nhrp', '-o', 'yaml'], { environment });
  assert.equal(registry.calls.at(-1)?.peer, undefined, 'asked through the socket');
  const [shown] = parse(bindings.out) as Record<string, unknown>[];
  assert.deepEqual([shown?.['nbma'], shown?.['created']], ['198.51.100.9:40000', '2023-11-14T22:13:20.000Z']);

  const dmvpn = await dmwg(['show', 'dmvpn'], { environment });
  assert.match(dmvpn.out, /# Ent {2}Peer NBMA Addr +Peer Tunnel Add +State +UpDn Tm +Attrb/);
  assert.match(dmvpn.out, /^ +1 {2}198\.51\.100\.9:40000 +10\.100\.0\.2 +UP +\d+d\d\dh +DN +spoke1$/m);
  const events = await dmwg(['show', 'events'], { environment });
  assert.match(events.out, /\?\[31mred$/m);
  for (const what of ['hubs', 'routes', 'overlay']) assert.equal((await dmwg(['show', what], { environment })).code, 0);
});

test('resolve prints the binding, and a refusal ends with 1', async () => {
  await using dir = await scratchDir();
  let answer = resolved;
  await using registry = await startRegistry(dir.path, { resolve: () => answer });
  const command = ['resolve', '192.168.7.20', '--state-dir', registry.stateDir];
  const found = await dmwg([...command, '-o', 'json']);
  assert.equal(found.code, 0, found.err);
  const { code, prefix, address, nbma, holdingTime } = JSON.parse(found.out) as Record<string, unknown>;
  assert.deepEqual(
    [code, prefix, address, nbma, holdingTime],
    [0, '192.168.7.0/24', '10.100.0.2', ['198.51.100.9:40000'], 7100],
  );

  answer = structuredClone(resolved);
  for (const cie of answer.message.body.value.cies) cie.code = 12;
  const refused = await dmwg([...command, '-o', 'json']);
  assert.equal(refused.code, 1);
  assert.equal((JSON.parse(refused.out) as { code: number }).code, 12);
  assert.match(refused.err, /no registered node serves this address \(code 12\)/);
  assert.equal((await dmwg(['resolve', 'x', '--state-dir', registry.stateDir])).code, 2);
});

test('orders: token, clear, revoke, overlay set', async () => {
  await using dir = await scratchDir();
  const asked: unknown[] = [];
  const note = (answer: unknown) => (request: unknown) => {
    asked.push(request);
    return answer;
  };
  await using registry = await startRegistry(dir.path, {
    createToken: note({ id: 't1', token: 'dmwg1.abc', expiresMs: 1_700_000_000_000n }),
    revokeToken: note({}),
    clear: note({ cleared: 2 }),
    revokeNode: note({ id: '0123456789abcdef', name: 'spoke1' }),
    setOverlay: note({ overlay }),
  });
  const environment = { DMWG_PROFILE: join(registry.stateDir, 'admin.yaml') };
  const token = await dmwg(['token', 'create', '--expires', '2h', '--prefix', '10.7.0.0/16', '-o', 'json'], {
    environment,
  });
  assert.deepEqual(JSON.parse(token.out), { token: 'dmwg1.abc', id: 't1', expires: '2023-11-14T22:13:20.000Z' });
  assert.deepEqual(asked.pop(), {
    role: 'spoke',
    prefixes: ['10.7.0.0/16'],
    tags: [],
    uses: 1,
    expiresInSeconds: 7200,
  });
  assert.equal((await dmwg(['token', 'revoke', 't1'], { environment })).out, 'Token t1 is revoked.\n');
  assert.equal((await dmwg(['clear', 'nhrp', '--all'], { environment })).out, '2 bindings cleared.\n');
  assert.deepEqual(asked.pop(), { address: '', all: true });
  assert.equal((await dmwg(['clear', 'nhrp'], { environment })).code, 2);
  assert.equal((await dmwg(['revoke', 'spoke1'], { environment })).out, 'Node spoke1 (0123456789abcdef) is revoked.\n');
  assert.equal((await dmwg(['overlay', 'set', 'phase', '1'], { environment })).code, 0);
  assert.deepEqual(asked.pop(), { key: 'phase', value: '1' });
  const wrong = await dmwg(['token', 'create', '--uses', '0', '--expires', 'x', '--tag', 'a b'], { environment });
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /--tag: .*--uses: .*--expires: /);
});

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
  // The same server by an address that its certificate does not have.
  assert.match(
    await at(registry.address.replace('127.0.0.1', '127.0.0.2')),
    /what answers at 127\.0\.0\.2:\d+ is not the registry/,
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
  assert.match(silent.err, /did not answer within 5 s/);
  assert.ok(performance.now() - started < 8000);
});

test('nothing that leads to a registry is an error that says what to give', async () => {
  await using dir = await scratchDir();
  const ran = await dmwg(['show', 'nodes', '--state-dir', dir.path]);
  assert.equal(ran.code, 1);
  assert.match(ran.err, /is not the state dir of a registry or a node/);
  const profile = await dmwg(['show', 'nodes'], { environment: { DMWG_PROFILE: join(dir.path, 'x') } });
  assert.match(profile.err, /x does not exist; check the path/);
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
