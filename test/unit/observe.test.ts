import assert from 'node:assert/strict';
import test from 'node:test';
import { ExecError, type Follow, type Run } from '#agent/io/host-port.ts';
import { parseSet } from '#agent/observe/activity.ts';
import { parseFirewall } from '#agent/observe/firewall.ts';
import { monitorKernel } from '#agent/observe/kernel-monitor.ts';
import { parseLinks } from '#agent/observe/links.ts';
import { parseRoutes } from '#agent/observe/routes.ts';
import { observeWireguard, parseDevice, parsePeerStatistics } from '#agent/observe/wireguard.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { parsePublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';

const key = (byte: number) => must(parsePublicKey(Buffer.alloc(32, byte).toString('base64')));
const secret = key(9);

test('links: those that are tunnels of ours, without what the kernel added', () => {
  const wireguard = { linkinfo: { info_kind: 'wireguard' }, mtu: 1420 };
  const json = JSON.stringify([
    {},
    { ifname: 'lo', flags: ['LOOPBACK', 'UP'], mtu: 65536, addr_info: [] },
    { ifname: 'dmwg9', linkinfo: { info_kind: 'dummy' } },
    { ifname: 'dmwgx0', ...wireguard },
    { ifname: 'dmwg-h1', ...wireguard, flags: ['POINTOPOINT'] },
    {
      ifname: 'dmwg0',
      linkinfo: { info_kind: 'tun' },
      mtu: 1400,
      flags: ['POINTOPOINT', 'UP', 'LOWER_UP'],
      addr_info: [
        { family: 'inet', local: '10.99.0.1', prefixlen: 32, scope: 'global' },
        { family: 'inet', local: '10.99.0.1', prefixlen: 24, scope: 'global' },
        { family: 'inet6', local: 'fd00::1', prefixlen: 128, scope: 'global' },
        { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
      ],
    },
  ]);
  const links = parseLinks(json, 'dmwg');
  assert.deepEqual(
    [...links.values()].map((link) => [link.name, link.mtu, link.up, [...link.addresses]]),
    [
      ['dmwg-h1', 1420, false, []],
      ['dmwg0', 1400, true, ['10.99.0.1/32', 'fd00::1/128']],
    ],
  );
  assert.equal(parseLinks('', 'dmwg').size, 0);
});

test('routes: those of our interfaces', () => {
  const four = JSON.stringify([
    { dst: 'default', dev: 'dmwg-h1', metric: 5 },
    { dst: '10.1.2.3', dev: 'dmwg0', prefsrc: '10.99.0.1' },
    { dst: '10.0.0.0/8', dev: 'eth0' },
    { dst: '10.7.0.0/16', type: 'unreachable' },
    {
      dst: '10.8.0.0/16',
      nexthops: [
        { dev: 'dmwg-h2', flags: [] },
        { dev: 'dmwg-h1', flags: [] },
      ],
    },
    {
      dst: '10.9.0.0/16',
      nexthops: [
        { dev: 'dmwg-h2', flags: ['dead', 'linkdown'] },
        { dev: 'dmwg-h1', flags: [] },
      ],
    },
    {
      dst: '10.10.0.0/16',
      nexthops: [
        { dev: 'eth0', flags: [] },
        { dev: 'dmwg-h1', flags: [] },
      ],
    },
  ]);
  const six = JSON.stringify([{ dst: 'default', dev: 'dmwg0', metric: 1024 }]);
  assert.deepEqual(
    [...parseRoutes(four, six, 'dmwg').values()].map((route) => [
      route.prefix,
      route.interfaces.join(),
      route.source,
      route.metric,
    ]),
    [
      ['0.0.0.0/0', 'dmwg-h1', undefined, 5],
      ['10.1.2.3/32', 'dmwg0', '10.99.0.1', 0],
      ['10.8.0.0/16', 'dmwg-h1,dmwg-h2', undefined, 0],
      ['10.9.0.0/16', 'dmwg-h1', undefined, 0],
      ['::/0', 'dmwg0', undefined, 1024],
    ],
  );
});

const dump = [
  [secret, key(1), '51820', 'off'],
  [key(2), secret, '192.0.2.1:51820', '10.1.0.0/16,fd00::1/128', '1700000000', '10', '20', '25'],
  [key(3), '(none)', '(none)', '(none)', '0', '0', '0', 'off'],
  [key(4), '(none)', '[fe80::1%eth0]:5', '(none)', '0', '0', '0', 'off'],
  ['broken'],
]
  .map((fields) => `${fields.join('\t')}\n`)
  .join('');

test('wireguard: device and peers, and no secret', () => {
  const device = parseDevice(dump);
  assert.deepEqual([device.publicKey, device.listenPort], [key(1), 51820]);
  assert.deepEqual([...device.peers.keys()], [key(2), key(3), key(4)]);
  assert.deepEqual(device.peers.get(key(2)), {
    publicKey: key(2),
    endpoint: '192.0.2.1:51820',
    allowedIps: new Set(['10.1.0.0/16', 'fd00::1/128']),
    keepalive: 25,
  });
  const bare = { publicKey: key(3), endpoint: undefined, allowedIps: new Set(), keepalive: 0 };
  assert.deepEqual(device.peers.get(key(3)), bare);
  assert.deepEqual(device.peers.get(key(4)), { ...bare, publicKey: key(4) });
  assert.ok(!JSON.stringify([device, [...device.peers]]).includes(secret));
});

test('wireguard: an interface that has no key yet', () => {
  const fresh = { publicKey: undefined, listenPort: 0, mark: 0, peers: new Map() };
  assert.deepEqual(parseDevice('(none)\t(none)\t0\toff\n'), fresh);
  assert.deepEqual(parseDevice(''), fresh);
});

test('wireguard: statistics of the peers of one interface', () => {
  const peers = parsePeerStatistics(dump);
  assert.deepEqual([...peers.keys()], [key(2), key(3), key(4)]);
  assert.deepEqual(peers.get(key(2)), {
    endpoint: '192.0.2.1:51820',
    latestHandshake: 1_700_000_000_000,
    rxBytes: 10,
    txBytes: 20,
  });
  assert.equal(peers.get(key(3))?.latestHandshake, undefined);
});

test('wireguard: an interface that went while wg looked is no failure, anything else is one', async () => {
  const failing = (stderr: string): Run => {
    return () => Promise.reject(new ExecError({ program: 'wg', args: [], exitCode: 1, stderr, message: stderr }));
  };
  const gone = await observeWireguard(failing('Unable to access interface dmwg0: No such device'), ['dmwg0']);
  assert.equal(gone.size, 0);
  await assert.rejects(observeWireguard(failing('Operation not permitted'), ['dmwg0']), ExecError);
});

test('firewall: the table of another version, or of someone else, reads as none', () => {
  const list = (chains: readonly object[]): string => JSON.stringify({ nftables: chains.map((chain) => ({ chain })) });
  const name = 'state0_v8_dmwg0___5_60__300_dmwg0_fd00xx/64_10.1.0.0/16-fd01xx/48';
  assert.equal(parseFirewall(list([{ table: 'dmwg_dmwg', name }]), 'dmwg_dmwg')?.nflogGroup, 5);
  assert.equal(parseFirewall(list([{ table: 'other', name }]), 'dmwg_dmwg'), undefined);
  assert.equal(parseFirewall(list([{ table: 'dmwg_dmwg', name: name.replace('v8', 'v7') }]), 'dmwg_dmwg'), undefined);
  assert.equal(parseFirewall(list([{ table: 'dmwg_dmwg', name: 'forwarding' }]), 'dmwg_dmwg'), undefined);
});

test('activity: elements with and without a timeout', () => {
  const elem = [
    { elem: { val: '10.1.0.1', timeout: 60, expires: 59 } },
    'fd00:0:0::1',
    { elem: { val: { concat: [] } } },
  ];
  assert.deepEqual(parseSet(JSON.stringify({ nftables: [{ metainfo: {} }, { set: { elem } }] })), [
    '10.1.0.1',
    'fd00::1',
  ]);
  assert.deepEqual(parseSet(JSON.stringify({ nftables: [{ set: {} }] })), []);
});

test('kernel monitor: tells of lines, starts again what ended, and stops', async () => {
  const stop = new AbortController();
  let [starts, changes] = [0, 0];
  const follow: Follow = (program, args, onLine) => {
    assert.equal(program, 'setpriv');
    assert.deepEqual(args.slice(3), ['ip', 'monitor', 'link', 'address', 'route']);
    starts += 1;
    if (starts === 1) return Promise.reject(new Error('not to be had'));
    onLine('2: dmwg0');
    if (starts === 3) stop.abort();
    return Promise.resolve();
  };
  const onChange = (): void => void (changes += 1);
  await monitorKernel({ follow, onChange, clock: systemClock, random: () => 0 }, stop.signal);
  assert.equal(starts, 3);
  // Once a line, and once after each start again, for what was missed meanwhile.
  assert.equal(changes, 4);
});
