// What the agent's host tells by itself: traffic that nftables notices, and changes in the kernel.
import assert from 'node:assert/strict';
import test from 'node:test';
import { follow } from '#agent/io/exec.ts';
import { observeActivity } from '#agent/observe/activity.ts';
import { monitorKernel } from '#agent/observe/kernel-monitor.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { seconds } from '#proto/model/time.ts';
import { until } from '#test/support/poll.ts';
import { hostNamespace } from './host-namespace.ts';
import { firewall, peer, route, state, tunnel } from './host-values.ts';

test('indicates a pair once, and remembers who is in use', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  const made = await tunnel(host, name, ['10.99.0.1/32', 'fd6d:7764:6700::1/128'], [peer(['10.0.0.0/8', 'fd00::/8'])]);
  const routes = [route('10.0.0.0/8', name), route('fd00::/8', name)];
  const rules = firewall(host, { notice: [name], account: [name], nflogGroup: 4711 });
  await host.pass(state([made], routes, { firewall: rules }));

  const lines: string[] = [];
  const ended = new AbortController();
  t.after(() => {
    ended.abort();
  });
  const listen = ['-i', 'nflog:4711', '-n', '-l', '--immediate-mode', '-Z', 'root'];
  const listening = follow(
    'ip',
    ['netns', 'exec', host.name, 'setpriv', '--pdeathsig', 'KILL', '--', 'tcpdump', ...listen],
    (line) => lines.push(line),
    ended.signal,
  );
  const ping = (address: string): Promise<unknown> =>
    host.run('ping', ['-c', '1', '-W', '0.1', address]).catch(() => undefined);
  const listens = async (): Promise<boolean> => {
    await ping('10.200.0.1');
    await host.run('nft', ['flush', 'set', 'inet', host.table, 'indicated4']);
    return lines.length > 0;
  };
  await until('tcpdump listens', listens, { within: 5000 });
  const about = (text: string): number => lines.filter((line) => line.includes(text)).length;
  for (const address of ['10.1.0.1', '10.1.0.1', '10.1.0.2', 'fd00:1::1', 'fd00:1::1', 'fd6d:7764:6700::5']) {
    await ping(address);
  }
  // A changed table keeps what it has learnt.
  await host.pass(state([made], routes, { firewall: { ...rules, indicateAgain: seconds(50), tunnels: [name] } }));
  await ping('10.1.0.1');
  await ping('10.1.0.3');
  await until('the last pair is indicated', () => about('> 10.1.0.3') === 1, { within: 5000 });
  assert.deepEqual(['> 10.1.0.1:', '> 10.1.0.2:', '> fd00:1::1:', 'fd6d:7764:6700::5'].map(about), [1, 1, 1, 0]);
  const used = await observeActivity(host.run, host.table);
  assert.deepEqual(used.filter((address) => !address.startsWith('10.200.')).sort(), [
    '10.1.0.1',
    '10.1.0.2',
    '10.1.0.3',
    'fd00:1::1',
  ]);
  ended.abort();
  await listening;
});

test('hears of changes in the kernel', async (t) => {
  const host = await hostNamespace(t);
  const stop = new AbortController();
  let changes = 0;
  const inside: typeof follow = (program, args, onLine, signal) =>
    follow('ip', ['netns', 'exec', host.name, program, ...args], onLine, signal);
  const onChange = (): void => void (changes += 1);
  const monitoring = monitorKernel({ follow: inside, onChange, clock: systemClock, random: Math.random }, stop.signal);
  const heard = async (): Promise<boolean> => {
    await host.run('ip', ['address', 'add', '192.0.2.1/32', 'dev', 'lo']);
    await host.run('ip', ['address', 'del', '192.0.2.1/32', 'dev', 'lo']);
    return changes > 0;
  };
  await until('a change is heard of', heard, { within: 5000 });
  stop.abort();
  await monitoring;
});
