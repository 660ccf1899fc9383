// What may go wrong beneath the agent's hands: a port that is taken, a wireguard-go that hangs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';
import { lacksPort } from '#agent/decide/host.ts';
import { execute } from '#agent/io/exec.ts';
import { until } from '#test/support/poll.ts';
import { hostNamespace } from './host-namespace.ts';
import { peer, state, tunnel } from './host-values.ts';

const holder = `
const socket = require('node:dgram').createSocket({ type: 'udp6' });
socket.bind(Number(process.argv[1]), '::', () => process.stdout.write('bound\\n'));
`;

test('a port that is taken is seen, and had as soon as it is free', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  const wanted = await tunnel(host, name, ['10.99.0.1/32', 'fd6d:7764:6700::1/128']);
  const port = String(wanted.listenPort);
  const other = spawn('ip', ['netns', 'exec', host.name, process.execPath, '-e', holder, port], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => other.kill('SIGKILL'));
  let bound = false;
  other.stdout.on('data', () => (bound = true));
  await until('the port is taken', () => bound, { within: 10_000 });

  const desired = state([wanted], []);
  /** The kernel's WireGuard says so when it is asked; wireguard-go is found without a port. */
  const taken = async (): Promise<boolean> => {
    const error = await host.pass(desired).then(
      () => '',
      (reason: unknown) => String(reason),
    );
    const found = (await host.observe()).interfaces.get(name);
    return /address already in use/i.test(error) || (found !== undefined && lacksPort(found, wanted));
  };
  for (let round = 0; round < 3; round += 1) await until('the port is missing', taken, { within: 5000 });

  other.kill('SIGKILL');
  await until(
    'the port is ours',
    async () => {
      await host.pass(desired);
      const { stdout } = await host.run('ss', ['-Huln', `sport = :${port}`]);
      return stdout !== '' && (await host.pass(desired)).length === 0;
    },
    { within: 5000 },
  );
  assert.deepEqual((await host.observe()).interfaces, desired.interfaces);
});

test('a wireguard-go that hangs is told from one that is gone, and is not asked twice', async (t) => {
  const host = await hostNamespace(t);
  const [name, sound] = [`${host.prefix}0`, `${host.prefix}-h1`];
  await host.pass(state([await tunnel(host, name, ['10.99.0.1/32']), await tunnel(host, sound, [])], []));
  if ((await host.sockets()).length === 0) {
    t.skip("the kernel's WireGuard does not hang");
    return;
  }
  const daemon = Number((await execute('pgrep', ['-f', '-x', `wireguard-go ${name}`])).stdout.trim());
  process.kill(daemon, 'SIGSTOP');
  t.after(() => process.kill(daemon, 'SIGCONT'));
  const seen = await host.observe();
  assert.deepEqual(seen.unreadable, new Set([name]));
  assert.notEqual(seen.interfaces.get(sound)?.publicKey, undefined);

  let calls = 0;
  const { applyChanges } = await import('#agent/apply/changes.ts');
  const results = await applyChanges(
    [1, 2, 3, 4].map(() => ({ kind: 'add-peer', interface: name, peer: peer([]) })),
    {
      ...host.hands,
      run: (program, args, options) => {
        calls += 1;
        return host.hands.run(program, args, { ...options, timeout: 500 });
      },
    },
  );
  assert.equal(calls, 1);
  assert.ok(results.every(({ error }) => /did not end within/.test(error ?? '')));
  process.kill(daemon, 'SIGCONT');
});
