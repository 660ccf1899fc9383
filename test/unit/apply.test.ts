import assert from 'node:assert/strict';
import test from 'node:test';
import { parseBatchErrors } from '#agent/apply/batch.ts';
import { applyChanges, type Hands } from '#agent/apply/changes.ts';
import { peerArguments } from '#agent/apply/commands.ts';
import { createWireguard } from '#agent/apply/wireguard.ts';
import type { Change } from '#agent/decide/change.ts';
import type { PeerState, TunnelState } from '#agent/decide/host.ts';
import { execute } from '#agent/io/exec.ts';
import { procSysctls } from '#agent/io/sysctl.ts';
import { ExecError, type IpProgram, type Run, type Sysctls } from '#agent/io/host-port.ts';
import { parsePrefix } from '#proto/model/address.ts';
import { parsePublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';

const key = (byte: number) => must(parsePublicKey(Buffer.alloc(32, byte).toString('base64')));
const prefix = (text: string) => must(parsePrefix(text));

function peer(byte: number, allowed: readonly string[] = []): PeerState {
  const allowedIps = new Set(allowed.map(prefix));
  return { publicKey: key(byte), endpoint: undefined, allowedIps, keepalive: seconds(0) };
}

const tunnel: TunnelState = {
  name: 'dmwg0',
  publicKey: key(1),
  listenPort: 51820,
  mtu: 1400,
  mark: 0,
  up: true,
  addresses: new Set([prefix('10.99.0.1/32'), prefix('fd00::1/128')]),
  peers: new Map(),
};

/** Writes down what is run; `fails` says with which stderr a command fails. */
function recorder(fails: (command: string) => string | undefined = () => undefined) {
  const commands: string[] = [];
  const run: Run = (program, args, options) => {
    const input = options?.stdin === undefined ? '' : ` <<< ${options.stdin.trim().replaceAll('\n', '; ')}`;
    const command = `${[program, ...args].join(' ')}${input}`;
    commands.push(command);
    const stderr = fails(command);
    if (stderr === undefined) return Promise.resolve({ stdout: '', stderr: '' });
    return Promise.reject(new ExecError({ program, args, exitCode: 1, stderr, message: stderr }));
  };
  const sysctls: Sysctls = {
    read: (name) => Promise.resolve(name.startsWith('net.ipv6') ? undefined : '0'),
    write: (name, value) => {
      commands.push(`${name}=${value}`);
      return Promise.resolve();
    },
    children: () => Promise.resolve([]),
  };
  const wireguard = createWireguard({ run, sysctls });
  const ip: IpProgram = {
    run: (lines) =>
      run('ip', ['-stays'], { stdin: lines.join('\n') }).then(
        () => ({ stderr: '', first: 7 }),
        (error: unknown) => (error instanceof ExecError ? { stderr: error.stderr, first: 7 } : undefined),
      ),
    forget: () => void commands.push('ip forgets'),
  };
  const hands: Hands = { run, ip, sysctls, wireguard, keyFile: (name) => `/keys/${name}.key`, table: 'dmwg_dmwg' };
  return { commands, hands };
}

test('one program a group of changes', async () => {
  const { commands, hands } = recorder();
  const route = { prefix: prefix('10.1.0.0/16'), interfaces: ['dmwg0'], source: undefined, metric: 7, table: 254 };
  const route6 = { ...route, prefix: prefix('fd00::/16') };
  const changes: Change[] = [
    { kind: 'add-address', interface: 'dmwg0', address: prefix('fd00::1/128') },
    { kind: 'add-peer', interface: 'dmwg0', peer: peer(2, ['10.1.0.0/16']) },
    { kind: 'remove-peer', interface: 'dmwg0', publicKey: key(3) },
    { kind: 'add-route', route },
    { kind: 'remove-route', route: { ...route, metric: 0 } },
    { kind: 'replace-route', from: route, to: { ...route, interfaces: ['dmwg-h1', 'dmwg-h2'] } },
    { kind: 'replace-route', from: route6, to: { ...route6, interfaces: ['dmwg-h1', 'dmwg-h2'] } },
    { kind: 'delete-interface', name: 'dmwg1' },
  ];
  const results = await applyChanges(changes, hands);
  assert.deepEqual(
    results,
    changes.map((change) => ({ change, error: undefined })),
  );
  assert.deepEqual(commands, [
    'ip -force -batch - <<< address replace fd00::1/128 dev dmwg0 nodad',
    `wg set dmwg0 peer ${key(2)} persistent-keepalive 0 allowed-ips 10.1.0.0/16 peer ${key(3)} remove`,
    'ip -force -batch - <<< route add 10.1.0.0/16 dev dmwg0 proto 109 metric 7; ' +
      'route del 10.1.0.0/16 dev dmwg0 proto 109; ' +
      'route replace 10.1.0.0/16 proto 109 metric 7 nexthop dev dmwg-h1 nexthop dev dmwg-h2; ' +
      'route replace fd00::/16 proto 109 metric 7 nexthop via fe80::1 dev dmwg-h1 nexthop via fe80::1 dev dmwg-h2; ' +
      'link del dev dmwg1',
  ]);
});

test('routes alone go to the ip that stays, and what fails there to a new one', async () => {
  const stale = 'Cannot find device "dmwg0"\nCommand failed -:8';
  const { commands, hands } = recorder((command) => (command.startsWith('ip -stays') ? stale : undefined));
  const add = (text: string): Change => {
    return {
      kind: 'add-route',
      route: { prefix: prefix(text), interfaces: ['dmwg0'], source: undefined, metric: 7, table: 254 },
    };
  };
  const results = await applyChanges([add('10.1.0.0/16'), add('10.2.0.0/16')], hands);
  assert.ok(results.every(({ error }) => error === undefined));
  assert.deepEqual(commands, [
    'ip -stays <<< route add 10.1.0.0/16 dev dmwg0 proto 109 metric 7; route add 10.2.0.0/16 dev dmwg0 proto 109 metric 7',
    'ip forgets',
    'ip -force -batch - <<< route add 10.2.0.0/16 dev dmwg0 proto 109 metric 7',
  ]);
});

test('among many peers, the one that fails is found, and fails alone', async () => {
  const { commands, hands } = recorder((command) => (command.includes(key(5)) ? 'no good' : undefined));
  const changes = [2, 3, 4, 5, 6, 7, 8, 9].map(
    (byte): Change => ({ kind: 'add-peer', interface: 'dmwg0', peer: peer(byte) }),
  );
  const results = await applyChanges(changes, hands);
  assert.deepEqual(
    results.map(({ error }) => error),
    [undefined, undefined, undefined, 'no good', undefined, undefined, undefined, undefined],
  );
  assert.ok(commands.length <= 7);
});

test('an interface that is gone fails all its peers at once, but for those that were to go', async () => {
  const gone = 'Unable to modify interface: No such device';
  const { commands, hands } = recorder(() => gone);
  const results = await applyChanges(
    [
      { kind: 'add-peer', interface: 'dmwg0', peer: peer(2) },
      { kind: 'remove-peer', interface: 'dmwg0', publicKey: key(3) },
    ],
    hands,
  );
  assert.deepEqual(
    results.map(({ error }) => error),
    [gone, undefined],
  );
  assert.equal(commands.length, 1);
});

test('thousands of peers are cut into calls that the kernel takes', async () => {
  const { commands, hands } = recorder();
  const many = Array.from({ length: 8000 }, (_, index): Change => {
    return {
      kind: 'add-peer',
      interface: 'dmwg0',
      peer: peer(2, [`10.${String(index >> 8)}.${String(index & 255)}.0/24`]),
    };
  });
  await applyChanges(many, hands);
  assert.ok(commands.length > 1 && commands.length < 5);
  for (const command of commands) assert.ok(command.length < 600_000);
});

test('a peer with many prefixes gets them in several arguments', () => {
  const allowed = Array.from({ length: 5000 }, (_, index) => `fd00:1234:5678:${index.toString(16)}::/64`);
  const words = peerArguments({ kind: 'add-peer', interface: 'dmwg0', peer: peer(2, allowed) });
  assert.ok(words.every((word) => word.length < 100_000));
  const prefixes = words.flatMap((word, index) => (words[index - 1] === 'allowed-ips' ? word.split(',') : []));
  assert.equal(prefixes.length, 5000);
});

test('an interface is set up before it comes up, and the kernel is asked for WireGuard once', async () => {
  const unknown = 'Error: Unknown device type.';
  const { commands, hands } = recorder((command) => (command.includes('type wireguard') ? unknown : undefined));
  await hands.wireguard.create(tunnel, '/keys/dmwg0.key');
  assert.deepEqual(commands, [
    'ip link add dev dmwg0 type wireguard',
    'setsid --wait wireguard-go dmwg0',
    'net.ipv4.conf.all.send_redirects=0',
    'wg set dmwg0 private-key /keys/dmwg0.key listen-port 51820',
    'net.ipv4.conf.dmwg0.rp_filter=2',
    'net.ipv4.conf.dmwg0.send_redirects=0',
    'ip -force -batch - <<< link set dev dmwg0 mtu 1400; address replace 10.99.0.1/32 dev dmwg0; ' +
      'address replace fd00::1/128 dev dmwg0 nodad',
    'ip -force -batch - <<< link set dev dmwg0 up',
  ]);
  commands.length = 0;
  await hands.wireguard.create({ ...tunnel, name: 'dmwg1' }, '/keys/dmwg1.key');
  assert.equal(commands[0], 'setsid --wait wireguard-go dmwg1');
});

test('without any WireGuard, says what to install', async () => {
  const { hands } = recorder((command) => {
    if (command.includes('type wireguard')) return 'Error: Unknown device type.';
    return 'setsid: failed to execute wireguard-go: No such file or directory';
  });
  const [result] = await applyChanges([{ kind: 'create-interface', tunnel }], hands);
  assert.match(result?.error ?? '', /install the Debian package wireguard-go/);
});

test('what ip says about a batch belongs to the line it names', () => {
  const stderr = 'RTNETLINK answers: File exists\nCommand failed -:2\nCannot find device "x"\nCommand failed -:5\n';
  assert.deepEqual(
    parseBatchErrors(stderr),
    new Map([
      [2, 'RTNETLINK answers: File exists'],
      [5, 'Cannot find device "x"'],
    ]),
  );
});

test('a program that fails, hangs, is stopped or is missing, says so', async () => {
  await assert.rejects(execute('sh', ['-c', 'echo bad luck >&2; exit 3']), (error: unknown) => {
    assert.ok(error instanceof ExecError);
    assert.deepEqual([error.exitCode, error.stderr], [3, 'bad luck']);
    assert.match(error.message, /failed with exit code 3: bad luck/);
    return true;
  });
  await assert.rejects(execute('sleep', ['60'], { timeout: 20 }), /did not end within 20 ms/);
  await assert.rejects(execute('sleep', ['60'], { signal: AbortSignal.timeout(20) }), /was stopped/);
  await assert.rejects(execute('no-such-program', []), /^ExecError: no-such-program is not installed$/);
  const saved = process.env['PATH'];
  process.env['PATH'] = '/nowhere';
  try {
    await assert.rejects(execute('wg', []), /wg is not installed: install the Debian package wireguard-tools/);
  } finally {
    process.env['PATH'] = saved;
  }
});

test('a program reads what it is given, and sees the same environment whoever started it', async () => {
  assert.equal((await execute('cat', [], { stdin: 'words' })).stdout, 'words');
  assert.equal((await execute('true', [], { stdin: 'x'.repeat(1_000_000) })).stdout, '');
  process.env['WG_PROCESS_FOREGROUND'] = '1';
  const { stdout } = await execute('env', []);
  delete process.env['WG_PROCESS_FOREGROUND'];
  assert.ok(!stdout.includes('WG_'));
  assert.ok(stdout.includes('LC_ALL=C'));
});

test('a host that begins to forward IPv6 goes on taking router advertisements', async () => {
  const values = new Map([
    ['net.ipv6.conf.all.forwarding', '0'],
    ['net.ipv6.conf.default.accept_ra', '1'],
    ['net.ipv6.conf.eth0/7.accept_ra', '1'],
    ['net.ipv6.conf.eth1.accept_ra', '0'],
    ['net.ipv6.conf.lo.forwarding', '0'],
  ]);
  const written: string[] = [];
  const sysctls: Sysctls = {
    read: (name) => Promise.resolve(values.get(name)),
    write: (name, value) => {
      written.push(`${name}=${value}`);
      return Promise.resolve();
    },
    children: (name) =>
      Promise.resolve([...values.keys()].map((key) => key.slice(name.length + 1).split('.')[0] ?? '')),
  };
  const { hands } = recorder();
  const change: Change = { kind: 'set-sysctl', name: 'net.ipv6.conf.all.forwarding', from: '0', to: '1' };
  await applyChanges([change], { ...hands, sysctls });
  assert.deepEqual(written, [
    'net.ipv6.conf.default.accept_ra=2',
    'net.ipv6.conf.eth0/7.accept_ra=2',
    'net.ipv6.conf.all.forwarding=1',
  ]);
  assert.ok((await procSysctls.children('net.ipv4.conf')).includes('lo'));
  assert.deepEqual(await procSysctls.children('net.nothing'), []);
});
