import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { parse } from 'yaml';
import { dmwg, scratchDir, spoke, startRegistry } from './cli-registry.ts';

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

const why = { ageSeconds: 7, state: 'active', reason: 'no other' };

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
  maxConnections: 0,
  fallbackTimeSeconds: 30,
  prefixLimit: 1000,
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

test('show prints the promised fields, through the socket and through the profile', async () => {
  await using dir = await scratchDir();
  await using registry = await startRegistry(dir.path, {
    listNodes: () => ({ nodes: [spoke] }),
    listBindings: () => ({ bindings: [binding] }),
    listRoutes: () => ({
      routes: [{ prefix: '192.168.7.0/24', node: 'spoke1', preference: 255, active: true, ...why }],
    }),
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
      policy: [],
      endpoints: spoke.endpoints,
      registered: true,
      registeredAt: '2023-11-14T22:13:20.000Z',
      expiresIn: 7200,
      nat: true,
      connected: true,
      tags: ['branch'],
      agentVersion: '0.1.0',
      priority: null,
      cluster: null,
      draining: null,
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

test('orders: token, clear, revoke, overlay set, hub set', async () => {
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
    setHub: note({ id: '0123456789abcdef', name: 'hub1', priority: 7, cluster: 0 }),
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
    shared: false,
  });
  assert.equal((await dmwg(['token', 'revoke', 't1'], { environment })).out, 'Token t1 is revoked.\n');
  assert.equal((await dmwg(['clear', 'nhrp', '--all'], { environment })).out, '2 bindings cleared.\n');
  assert.deepEqual(asked.pop(), { address: '', all: true });
  assert.equal((await dmwg(['clear', 'nhrp'], { environment })).code, 2);
  assert.equal((await dmwg(['revoke', 'spoke1'], { environment })).out, 'Node spoke1 (0123456789abcdef) is revoked.\n');
  assert.equal((await dmwg(['overlay', 'set', 'phase', '1'], { environment })).code, 0);
  assert.deepEqual(asked.pop(), { key: 'phase', value: '1' });
  const hub = await dmwg(['hub', 'set', 'hub1', 'priority', '7'], { environment });
  assert.equal(hub.out, 'Hub hub1 has priority 7 in cluster 0.\n');
  assert.deepEqual(asked.pop(), { hub: 'hub1', key: 'priority', value: '7' });
  const wrong = await dmwg(['token', 'create', '--uses', '0', '--expires', 'x', '--tag', 'a b'], { environment });
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /--tag: .*--uses: .*--expires: /);
});
