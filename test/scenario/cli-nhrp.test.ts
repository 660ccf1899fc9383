// `dmwg show` in the layouts of routers and `dmwg debug nhrp`, against the real registry and a node's agent socket.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { formatProfile } from '#proto/codec/profile.ts';
import { Secret } from '#proto/kit/secret.ts';
import { cieCode } from '#proto/model/nhrp.ts';
import { runCli } from '#registry/cli/program.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { issue } from '#test/support/pki.ts';
import { until } from '#test/support/poll.ts';
import { multipoint, overlayRecord, registration, resolution } from '#test/support/registry-fixtures.ts';
import { type NodeSession, type RegistryHost, registryFor, within } from '#test/support/registry-host.ts';
import { dmwg, scratchDir } from './cli-registry.ts';

async function registry(t: TestContext): Promise<RegistryHost> {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  return registryFor(t, { store: () => store });
}

/** The arguments that make the command an operator's. */
async function operator(host: RegistryHost, dir: string): Promise<string[]> {
  const { certificate, key } = await issue(host.ca, { kind: 'admin', overlay: 'blue', name: 'root' });
  const path = join(dir, 'admin.yaml');
  const profile = { version: 1, registry: [host.address], caCertificate: host.ca.certificate, certificate } as const;
  await writeFile(
    path,
    formatProfile({ ...profile, key: new Secret(typeof key === 'string' ? key : key.reveal()) }).reveal(),
  );
  return ['--profile', path];
}

async function spoke(host: RegistryHost, name: string): Promise<{ session: NodeSession; address: string }> {
  const node = await host.enrol(await host.token(), { name });
  const session = host.connect(node.identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  const { address } = node.response;
  session.say(registration(address, [multipoint(name, ['192.0.2.7:1000'])]));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
  return { session, address };
}

test('show nhrp, dmvpn and counters in the layouts of routers', async (t) => {
  await using dir = await scratchDir();
  const host = await registry(t);
  const profile = await operator(host, dir.path);
  const { address } = await spoke(host, 'a');
  const show = async (...argv: readonly string[]): Promise<string> => {
    const ran = await dmwg(['show', ...argv, ...profile]);
    assert.equal(ran.code, 0, ran.err);
    return ran.out;
  };
  const cisco = await show('nhrp', '--format', 'cisco');
  assert.match(
    cisco,
    new RegExp(`^${address}/32 via ${address}\n   blue created 00:00:\\d\\d, expire 0\\d:\\d\\d:\\d\\d\n`),
  );
  assert.match(
    cisco,
    /Type: dynamic, Flags: authoritative unique registered used\n {3}NBMA address: 192\.0\.2\.7:1000\n/,
  );
  assert.match(
    await show('nhrp', '--format', 'frr'),
    /^Iface +Type +Protocol +NBMA +Claimed NBMA +Flags +Identity\nblue /,
  );
  assert.match(await show('dmvpn', '--format', 'cisco'), /Interface: blue, IPv4 NHRP Details\nType:Hub, NHRP Peers:1,/);
  assert.match(await show('dmvpn', '--format', 'frr'), /^- +192\.0\.2\.7:1000 +n +1 +a$/m);
  for (const what of ['nhrp', 'dmvpn', 'counters']) {
    const asFormat: unknown = JSON.parse(await show(what, '--format', 'json'));
    assert.deepEqual(
      Object.keys(asFormat as object),
      Object.keys(JSON.parse(await show(what, '-o', 'json')) as object),
    );
  }

  assert.match(
    await show('counters', '--format', 'cisco'),
    /^Registry:\n {3}Sent: Total 1\n.*\n {9}1 Registration Reply/,
  );
  assert.match(await show('counters'), /^Registration Request +1 +0$[\s\S]*^a +\S+ +1 +1 +0$/m);
  const one = JSON.parse(await show('counters', '--node', 'a', '-o', 'json')) as Record<string, unknown>;
  assert.equal(one['name'], 'a');
  assert.match(await show('counters', '--node', 'a', '--format', 'frr'), /^a +Registration Request +1 +0$/m);

  const both = await dmwg(['show', 'nhrp', '-o', 'json', '--format', 'cisco', ...profile]);
  assert.equal(both.code, 2);
  assert.match(both.err, /--format.*cannot be used with.*--output/);
  assert.match((await dmwg(['show', 'counters', '--node', 'x', ...profile])).err, /there is no node "x"/);
});

test('debug nhrp shows each message as it passes, until it is interrupted', async (t) => {
  await using dir = await scratchDir();
  const host = await registry(t);
  const profile = await operator(host, dir.path);
  const [a, b] = [await spoke(host, 'a'), await spoke(host, 'b')];
  const debug = async (...argv: readonly string[]) => {
    const stop = new AbortController();
    const said = { out: '', err: '' };
    const running = runCli(['debug', 'nhrp', ...argv, ...profile], {
      out: (text) => (said.out += text),
      err: (text) => (said.err += text),
      readInput: () => Promise.resolve(''),
      environment: {},
      terminal: false,
      interrupted: () => stop.signal,
      program: '/nowhere/cli.cjs',
    });
    await until('it follows', () => said.err !== '', { within });
    assert.equal(said.err, 'Following NHRP messages; interrupt to end.\n');
    return {
      lines: () => said.out.split('\n').slice(0, -1),
      end: (): Promise<number> => {
        stop.abort();
        return running;
      },
      running,
      said,
    };
  };
  const all = await debug();
  const onlyB = await debug('--node', 'b', '-o', 'json');
  a.session.say(resolution(a.address, b.address));
  await until('all is shown', () => all.lines().length === 3 && onlyB.lines().length === 1, { within });
  const [request, forwarded, reply] = all.lines();
  const path = `${a.address} -> ${b.address}`;
  const time = '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z';
  assert.match(request ?? '', new RegExp(`${time} received from a: resolution-request id 7, ${path}, flags router`));
  assert.match(forwarded ?? '', new RegExp(`${time} sent to b: resolution-request id 7, ${path}`));
  assert.match(
    reply ?? '',
    new RegExp(
      `sent to a: resolution-reply id 7, ${path}, flags .*, code 0 \\(ok\\), prefix ${b.address}/32, hold 7200 s, nbma .*, node b$`,
    ),
  );
  const [shown] = onlyB.lines().map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual([shown?.['direction'], shown?.['node'], shown?.['dropped']], ['sent', 'b', 0]);
  assert.equal(await onlyB.end(), 0);

  // `dmwg resolve` is seen too, and the interrupted one sees nothing more.
  assert.equal((await dmwg(['resolve', b.address, ...profile])).code, 0);
  await until('the tool is seen', () => all.lines().length === 5, { within });
  assert.match(all.lines()[3] ?? '', /received from admin: resolution-request/);
  assert.equal(onlyB.lines().length, 1);
  await host.serving.stop();
  assert.equal(await all.running, 1);
  assert.match(all.said.err, /dmwg: the registry ended this, as it stops; run it again\n$/);

  const node = await dmwg(['debug', 'nhrp', '-o', 'yaml', ...profile]);
  assert.equal(node.code, 2);
});

test('nhs, shortcuts, cache and counters of a node are asked of its agent', async (t) => {
  await using dir = await scratchDir();
  const node = join(dir.path, 'node');
  await mkdir(node);
  await writeFile(join(node, 'agent.yaml'), 'version: 1\n');
  const tally = { messages: { 'registration-request': 2 }, naks: { 'registration-reply': { 4: 1 } }, errors: {} };
  const said = {
    node: 'spoke1',
    role: 'spoke',
    registry: {
      connected: true,
      endpoint: '192.0.2.9:7443',
      servers: [
        { address: '192.0.2.8:7443', priority: 0, cluster: 0, state: 'probe', age: null },
        { address: '192.0.2.9:7443', priority: 10, cluster: 1, state: 'up', age: 3600 },
        { address: 'registry.example.net:7443', priority: null, cluster: null, state: 'down', age: null },
      ],
    },
    hubs: [
      {
        node: 'hub1',
        address: '10.99.0.1',
        priority: 0,
        state: 'up',
        active: true,
        interface: 'dmwg-h1',
        endpoint: '192.0.2.1:51820',
        age: 61,
      },
    ],
    peers: [],
    shortcuts: [
      { prefix: '10.99.0.3/32', node: 's2', address: '10.99.0.3', interface: 'dmwg0', age: 5, expiresIn: 60 },
    ],
    cache: [{ prefix: '10.99.0.9/32', type: 'incomplete', node: '', interface: 'dmwg0', flags: [], expiresIn: 2 }],
    counters: { received: tally, sent: tally },
  };
  const agent = createServer((_request, response) => response.end(JSON.stringify(said)));
  const socket = join(node, 'agent.sock');
  await new Promise<void>((done) => agent.listen(socket, done));
  t.after(() => agent.close());
  const show = async (...argv: readonly string[]): Promise<string> => {
    const ran = await dmwg(['show', ...argv, '--state-dir', node]);
    assert.equal(ran.code, 0, ran.err);
    return ran.out;
  };
  assert.match(
    await show('nhs', '--format', 'cisco'),
    /^dmwg-h1:\n10\.99\.0\.1 {2}RE NBMA Address: 192\.0\.2\.1:51820 /m,
  );
  const nhs = await show('nhs');
  assert.match(nhs, /^hub1 +10\.99\.0\.1 +192\.0\.2\.1:51820 +0 +0 +up +yes +00:01:01 +dmwg-h1$/m);
  assert.match(nhs, /^registry +- +192\.0\.2\.9:7443 +10 +1 +up +yes +01:00:00 +-$/m);
  const parsed = JSON.parse(await show('nhs', '-o', 'json')) as readonly { kind: string; state: string }[];
  assert.deepEqual(
    parsed.map(({ kind, state }) => `${kind} ${state}`),
    ['hub up', 'registry probe', 'registry up', 'registry down'],
  );
  assert.match(await show('shortcuts', '--format', 'frr'), /^dynamic +10\.99\.0\.3\/32 +10\.99\.0\.3 +s2$/m);
  assert.match(await show('shortcuts'), /^10\.99\.0\.3\/32 +10\.99\.0\.3 +s2 +- +rib +00:00:05 +00:01:00$/m);
  assert.match(await show('cache'), /^10\.99\.0\.9\/32 +incomplete +/m);
  assert.match(
    await show('cache', '--format', 'cisco'),
    /^10\.99\.0\.9\/32\n {3}dmwg0 expire 00:00:02\n {3}Type: incomplete\n$/,
  );
  const counters = JSON.parse(await show('counters', '--format', 'json')) as {
    sent: { messages: object; naks: object };
  };
  assert.deepEqual(counters.sent.naks, { 'resolution-reply': {}, 'registration-reply': { 4: 1 } });
  assert.match(await show('counters', '--format', 'cisco'), /^spoke1:\n {3}Sent: Total 2\n/);
  const old = await dmwg(['show', 'counters', '--state-dir', join(dir.path, 'nothing')]);
  assert.equal(old.code, 1);
});
