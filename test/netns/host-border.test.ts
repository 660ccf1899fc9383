// What a host that forwards lets out of its tunnels. To the rules an interface is a name: plain links stand in for tunnels.
import assert from 'node:assert/strict';
import test from 'node:test';
import { execute } from '#agent/io/exec.ts';
import { until } from '#test/support/poll.ts';
import { type HostNamespace, hostNamespace } from './host-namespace.ts';
import { firewall, prefix, state } from './host-values.ts';

/** Link from `outer` to `host`, whose end there is `name`; the host is .1 and ::1, the other end .2 and ::2. */
async function link(host: HostNamespace, name: string, outer: HostNamespace, nets: readonly string[]): Promise<void> {
  const other = `${name}p`;
  await host.run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', other, 'netns', outer.name]);
  for (const [end, device, last] of [
    [host, name, '1'],
    [outer, other, '2'],
  ] as const) {
    await end.run('ip', ['link', 'set', device, 'up']);
    for (const net of nets) {
      const nodad = net.includes(':') ? ['nodad'] : [];
      const length = net.includes(':') ? '64' : '24';
      await end.run('ip', ['address', 'add', `${net}${last}/${length}`, 'dev', device, ...nodad]);
    }
  }
  for (const net of [nets.find((text) => !text.includes(':')), nets.find((text) => text.includes(':'))]) {
    if (net !== undefined) await outer.run('ip', ['route', 'add', 'default', 'via', `${net}1`]);
  }
}

test('out of a tunnel goes only what is for an announced prefix', async (t) => {
  const [host, far, lan] = [await hostNamespace(t), await hostNamespace(t), await hostNamespace(t)];
  const name = `${host.prefix}0`;
  await link(host, name, far, ['10.9.0.', 'fd09::']);
  await link(host, 'lan0', lan, ['10.1.0.', '10.2.0.', 'fd01::', 'fd02::']);
  await host.sysctls.write('net.ipv4.ip_forward', '1');
  await host.sysctls.write('net.ipv6.conf.all.forwarding', '1');
  const answers = async (address: string): Promise<boolean> => {
    const { run } = far;
    return run('ping', ['-c', '1', '-W', '1', address]).then(
      () => true,
      () => false,
    );
  };
  const all = ['10.1.0.2', '10.2.0.2', 'fd01::2', 'fd02::2'];
  for (const address of all) await until(`${address} answers`, () => answers(address), { within: 5000 });

  const rules = firewall(host, { reachable: ['10.1.0.0/24', 'fd01::/64'].map(prefix) });
  await host.pass(state([], [], { firewall: rules }));
  assert.deepEqual((await host.observe()).firewall, rules);
  assert.deepEqual(await Promise.all(all.map(answers)), [true, false, true, false]);
  const { stdout } = await execute('ip', ['netns', 'exec', lan.name, 'ping', '-c', '1', '-W', '1', '10.9.0.2']);
  assert.match(stdout, / 0% packet loss/, 'the other way');

  await host.pass(state([], [], { firewall: { ...rules, reachable: [prefix('0.0.0.0/0')] } }));
  assert.deepEqual(await Promise.all(all.map(answers)), [true, true, false, false]);
});
