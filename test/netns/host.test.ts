// The agent's hands on the real ip, wg and nft, with the kernel's WireGuard or wireguard-go.
import assert from 'node:assert/strict';
import test from 'node:test';
import { nothing, type TunnelState } from '#agent/decide/host.ts';
import { execute } from '#agent/io/exec.ts';
import { observePeers } from '#agent/observe/wireguard.ts';
import { parseAddress } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';
import { until } from '#test/support/poll.ts';
import { hostNamespace } from './host-namespace.ts';
import { endpoint, firewall, peer, prefix, randomKey, route, state, tunnel } from './host-values.ts';

test('makes everything, finds it as it made it, and takes it all away', async (t) => {
  const host = await hostNamespace(t);
  const [multipoint, hub] = [`${host.prefix}0`, `${host.prefix}-h1`];
  const desired = state(
    [
      await tunnel(
        host,
        multipoint,
        ['10.99.0.1/32', 'fd6d:7764:6700::1/128'],
        [peer(['10.1.0.0/24', 'fd6d:7764:6700::3/128'], { keepalive: seconds(25) }), peer([])],
      ),
      await tunnel(host, hub, ['10.99.0.1/32', 'fd6d:7764:6700::2/128'], [peer(['0.0.0.0/0', '::/0'])]),
    ],
    [
      route('10.1.0.0/24', multipoint, { source: must(parseAddress('10.99.0.1')) }),
      route('10.0.0.0/8', hub, { metric: 0 }),
      route('0.0.0.0/0', hub),
      route('fd00:1::/48', hub, { metric: 0 }),
      route('fd6d:7764:6700::3/128', multipoint),
    ],
    {
      firewall: firewall(host, { indicate: [multipoint], notice: [hub], account: [multipoint] }),
      sysctls: new Map([['net.ipv4.ip_forward', '1']]),
    },
  );
  // As on a host whose IPv6 is switched off.
  await host.sysctls.write('net.ipv6.conf.default.disable_ipv6', '1');

  assert.ok((await host.pass(desired)).length > 5);
  const seen = await host.observe(desired);
  assert.deepEqual(seen.interfaces, desired.interfaces);
  assert.deepEqual(new Set(seen.routes.keys()), new Set(desired.routes.keys()));
  assert.deepEqual(seen.firewall, desired.firewall);
  assert.deepEqual(await host.pass(desired), []);
  assert.equal(await host.sysctls.read(`net.ipv4.conf.${hub}.rp_filter`), '2');

  await host.pass(nothing);
  assert.deepEqual(await host.observe(), nothing);
  await until('sockets are gone', async () => (await host.sockets()).length === 0, { within: 5000 });
  assert.equal((await host.run('nft', ['list', 'tables'])).stdout, '');
});

test('touches nothing that is not its own', async (t) => {
  const host = await hostNamespace(t);
  const own = `${host.prefix}0`;
  // A name like ours, on something that is no tunnel.
  await host.run('ip', ['link', 'add', 'dev', 'eth0', 'type', 'veth', 'peer', 'name', `${host.prefix}9`]);
  await host.run('sysctl', ['-q', '-w', 'net.ipv6.conf.eth0.disable_ipv6=1']);
  await host.run('ip', ['link', 'set', `${host.prefix}9`, 'up']);
  await host.run('ip', ['address', 'add', '192.0.2.1/24', 'dev', 'eth0']);
  await host.run('ip', ['link', 'set', 'eth0', 'up']);
  await host.run('ip', ['route', 'add', '10.7.0.0/16', 'dev', 'eth0', 'proto', '109']);
  await host.run('ip', ['route', 'add', '10.8.0.0/16', 'dev', 'eth0', 'metric', '100']);
  await host.run('nft', ['-f', '-'], { stdin: 'table inet other {\n chain state0_x {\n }\n}\n' });
  const picture = async (): Promise<string> =>
    (await host.run('ip', ['-o', 'address', 'show', 'dev', 'eth0'])).stdout +
    (await host.run('ip', ['route', 'show', 'dev', 'eth0'])).stdout +
    (await host.run('ip', ['-br', 'link', 'show', `${host.prefix}9`])).stdout +
    (await host.run('nft', ['list', 'table', 'inet', 'other'])).stdout;
  const before = await picture();

  const desired = state([await tunnel(host, own, ['10.99.0.1/32'])], [route('10.9.0.0/16', own)], {
    firewall: firewall(host),
  });
  await host.pass(desired);
  await host.run('ip', ['route', 'add', '10.10.0.0/16', 'dev', own]);
  assert.deepEqual(await host.pass(desired), []);
  const [refused] = await host.apply([{ kind: 'add-route', route: route('10.8.0.0/16', own) }]);
  assert.match(refused?.error ?? '', /route of someone else/);
  await host.pass(nothing);
  assert.equal(await picture(), before);
});

test('moves from one state to another with a few commands', async (t) => {
  const host = await hostNamespace(t);
  const [multipoint, hub] = [`${host.prefix}0`, `${host.prefix}-h1`];
  const first = peer(['10.1.0.0/24', '10.2.0.0/24']);
  const second = peer(['10.3.0.0/24']);
  const made = await tunnel(host, multipoint, ['10.99.0.1/32', '10.99.0.2/32'], [first, second]);
  const other = await tunnel(host, hub, ['10.99.0.1/32']);
  await host.pass(state([made, other], [route('10.1.0.0/24', hub), route('10.5.0.0/24', hub)]));

  const third = peer(['10.2.0.0/24', '10.3.0.0/24'], { keepalive: seconds(5) });
  const changed: TunnelState = {
    ...made,
    publicKey: await host.key(multipoint),
    listenPort: made.listenPort + 1,
    mtu: 1380,
    addresses: new Set([prefix('10.99.0.1/32'), prefix('fd6d:7764:6700::7/128')]),
    peers: new Map([
      [first.publicKey, { ...first, allowedIps: new Set([prefix('10.1.0.0/24')]) }],
      [third.publicKey, third],
    ]),
  };
  const desired = state([changed, other], [route('10.1.0.0/24', multipoint), route('10.6.0.0/24', multipoint)]);
  const changes = await host.pass(desired);
  assert.deepEqual(
    changes.map((change) => change.kind),
    [
      'configure-interface',
      'add-address',
      'add-peer',
      'update-peer',
      'replace-route',
      'add-route',
      'remove-route',
      'remove-peer',
      'remove-address',
    ],
  );
  const seen = await host.observe();
  assert.deepEqual(seen.interfaces, desired.interfaces);
  assert.deepEqual(seen.routes, desired.routes);
  assert.deepEqual(await host.pass(desired), []);
});

test('takes 300 peers and routes in one go', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  const nets = Array.from({ length: 300 }, (_, index) => `10.${String(index >> 8)}.${String(index & 255)}.0/24`);
  const peers = nets.map((net) => peer([net]));
  const desired = state(
    [await tunnel(host, name, ['10.99.0.1/32'], peers)],
    nets.map((net) => route(net, name)),
  );
  await host.pass(desired);
  assert.equal((await observePeers(host.run, name)).size, 300);
  assert.deepEqual(await host.pass(desired), []);
});

test('a change that fails takes no other with it', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  await host.pass(state([await tunnel(host, name, ['10.99.0.1/32'])], []));
  const results = await host.apply([
    { kind: 'add-peer', interface: 'nowhere0', peer: peer([]) },
    { kind: 'add-peer', interface: name, peer: peer(['10.1.0.0/24']) },
    { kind: 'add-peer', interface: name, peer: peer([], { publicKey: 'bad' as PublicKey }) },
    { kind: 'add-peer', interface: name, peer: peer(['10.2.0.0/24']) },
    { kind: 'add-route', route: route('10.1.0.0/24', name) },
    { kind: 'add-route', route: route('10.2.0.0/24', 'nowhere0') },
    { kind: 'add-route', route: route('10.3.0.0/24', name) },
    { kind: 'remove-route', route: route('10.4.0.0/24', name) },
    { kind: 'remove-peer', interface: 'nowhere0', publicKey: randomKey() },
    { kind: 'remove-peer', interface: name, publicKey: randomKey() },
    { kind: 'remove-address', interface: name, address: prefix('10.99.0.9/32') },
    { kind: 'remove-address', interface: name, address: prefix('fd00::9/128') },
    { kind: 'delete-interface', name: 'nowhere0' },
    { kind: 'remove-firewall' },
  ]);
  assert.deepEqual(
    results.map(({ error }) => error === undefined),
    [false, true, false, true, true, false, true, true, true, true, true, true, true, true],
  );
  const seen = await host.observe();
  assert.equal(seen.interfaces.get(name)?.peers.size, 2);
  assert.equal(seen.routes.size, 2);
});

test('makes a peer anew, so that it forgets where it was', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  const [one, two] = [peer(['10.1.0.0/24']), peer(['10.2.0.0/24'])];
  await host.pass(state([await tunnel(host, name, ['10.99.0.1/32'], [one, two])], [route('10.1.0.0/24', name)]));
  await host.run('ping', ['-c', '1', '-W', '1', '10.1.0.1']).catch(() => undefined);
  assert.ok(((await observePeers(host.run, name)).get(one.publicKey)?.txBytes ?? 0) > 0);

  const anew = { ...one, endpoint: endpoint('127.0.0.1:4343'), allowedIps: new Set([prefix('10.3.0.0/24')]) };
  const [result] = await host.apply([{ kind: 'replace-peer', interface: name, peer: anew }]);
  assert.equal(result?.error, undefined);
  assert.deepEqual(
    (await host.observe()).interfaces.get(name)?.peers,
    new Map([
      [two.publicKey, two],
      [one.publicKey, anew],
    ]),
  );
  assert.equal((await observePeers(host.run, name)).get(one.publicKey)?.txBytes, 0);
});

test('makes an interface again after its daemon was killed, and at once after it was deleted', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  const desired = state([await tunnel(host, name, ['10.99.0.1/32'], [peer(['10.1.0.0/24'])])], []);
  await host.pass(desired);
  if ((await host.sockets()).length > 0) {
    const { stdout } = await execute('pgrep', ['-f', '-x', `wireguard-go ${name}`]);
    const daemon = stdout.trim();
    const session = async (pid: string): Promise<string> =>
      (await execute('ps', ['-o', 'sid=', '-p', pid])).stdout.trim();
    assert.notEqual(await session(daemon), await session(String(process.pid)), 'it would go with the agent');
    process.kill(Number(daemon), 'SIGKILL');
    await until('no interface', async () => (await host.observe()).interfaces.size === 0, { within: 5000 });
    assert.equal((await host.pass(desired)).length, 2);
    assert.deepEqual(await host.pass(desired), []);
  }
  for (let round = 0; round < 3; round += 1) {
    await host.pass(nothing);
    await host.pass(desired);
  }
  assert.deepEqual(await host.pass(desired), []);
});

test('completes an interface that was left half made', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  const desired = state([await tunnel(host, name, ['10.99.0.1/32', 'fd6d:7764:6700::1/128'])], []);
  await host.pass(desired);
  await host.run('ip', ['link', 'set', 'dev', name, 'down']);
  await host.run('ip', ['address', 'flush', 'dev', name]);
  await host.run('sysctl', ['-q', '-w', `net.ipv4.conf.${name}.rp_filter=0`]);
  await host.pass(desired);
  assert.deepEqual(await host.pass(desired), []);
  assert.equal(await host.sysctls.read(`net.ipv4.conf.${name}.rp_filter`), '2');
});
