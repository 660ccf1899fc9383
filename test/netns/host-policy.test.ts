// Routing rules, routes in other tables, marks, the kill switch and masquerading, on the real ip, wg and nft.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  gatewayKey,
  type GatewayRoute,
  type HostState,
  policyNumber,
  type RuleState,
  ruleKey,
  ruleOf,
} from '#agent/decide/host.ts';
import { observeUplinks } from '#agent/observe/uplinks.ts';
import { parseAddress } from '#proto/model/address.ts';
import { parseEndpoint } from '#proto/model/endpoint.ts';
import { must } from '#proto/model/result.ts';
import { mainTable } from '#proto/model/routing.ts';
import { until } from '#test/support/poll.ts';
import { type HostNamespace, hostNamespace } from './host-namespace.ts';
import { firewall, prefix, route, state, tunnel } from './host-values.ts';

const address = (text: string) => must(parseAddress(text));

test('rules, tables and marks are made, found as they were made, and taken away; those of others stay', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  const number = policyNumber(host.prefix);
  const device = await tunnel(host, name, ['10.9.0.1/32', 'fd09::1/128']);
  const plain = { table: number };
  const rules: RuleState[] = ([4, 6] as const).flatMap((family) =>
    [
      {
        ...plain,
        family,
        priority: number,
        to: prefix(family === 4 ? '192.0.2.1/32' : '2001:db8::1/128'),
        table: mainTable,
      },
      { ...plain, family, priority: number + 1, table: mainTable, noDefault: true },
      { ...plain, family, priority: number + 2, without: number },
      { ...plain, family, priority: number + 3, from: name },
      { ...plain, family, priority: number + 4, to: prefix(family === 4 ? '10.0.0.0/8' : 'fd00::/8') },
      { ...plain, family, priority: number + 5, source: prefix(family === 4 ? '10.9.0.1/32' : 'fd09::1/128') },
      { ...plain, family, priority: number + 6, mark: number, table: number + 0x1_0000 },
      { ...plain, family, priority: number + 7, mark: number, table: 'unreachable' as const },
    ].map(ruleOf),
  );
  const desired = state(
    [{ ...device, mark: number }],
    [
      route('0.0.0.0/0', name, { table: number }),
      route('::/0', name, { table: number }),
      route('10.1.0.0/16', name, { metric: 0xd200_0064 }),
      route('10.1.0.0/16', name, { table: 77 }),
    ],
    { rules: new Map(rules.map((rule) => [ruleKey(rule), rule])) },
  );
  await host.run('ip', ['rule', 'add', 'priority', '900', 'fwmark', '1', 'table', '77']);
  await host.run('ip', ['rule', 'add', 'priority', '901', 'fwmark', '1', 'table', '77', 'protocol', '109']);
  await host.pass(desired);
  const observed = await host.observe();
  assert.deepEqual(observed.rules, desired.rules);
  assert.deepEqual([...observed.routes.keys()].sort(), [...desired.routes.keys()].sort());
  assert.equal(observed.interfaces.get(name)?.mark, number);
  assert.deepEqual(await host.pass(desired), []);

  await host.pass(state([device], []));
  const { stdout } = await host.run('ip', ['rule']);
  assert.match(stdout, /^900:.*\n901:/m);
  assert.ok(!stdout.includes(`${String(number)}:`));
  assert.equal((await host.observe()).interfaces.get(name)?.mark, 0);
});

test('routes in the tables of uplinks are made, followed to another gateway, and taken away; the host keeps its own', async (t) => {
  const host = await hostNamespace(t);
  const outer = await hostNamespace(t);
  await link(host, 'wan', outer, '192.0.2');
  await host.run('ip', ['route', 'add', 'default', 'via', '192.0.2.2', 'dev', 'wan']);
  const table = policyNumber(host.prefix) + 0x1_0000;
  const made = (via: string): GatewayRoute[] => [
    { ...plainGateway, prefix: prefix('0.0.0.0/0'), via: address(via), source: address('192.0.2.1'), table },
    { ...plainGateway, prefix: prefix('192.0.2.0/24'), via: undefined, source: undefined, table },
  ];
  const desired = (via: string): HostState =>
    state([], [], { gateways: new Map(made(via).map((route) => [gatewayKey(route), route])) });
  for (const via of ['192.0.2.2', '192.0.2.9']) {
    await host.pass(desired(via));
    assert.deepEqual((await host.observe()).gateways, desired(via).gateways);
    assert.deepEqual(await host.pass(desired(via)), []);
  }
  await host.pass(state([], []));
  assert.equal((await host.observe()).gateways.size, 0);
  assert.match((await host.run('ip', ['route'])).stdout, /^default via 192\.0\.2\.2 dev wan/m);

  const [sight] = (
    await observeUplinks(host.run, [{ ...plainUplink, name: 'a', source: address('192.0.2.1') }])
  ).values();
  assert.deepEqual(
    [sight?.device, sight?.addresses, sight?.routes.map(({ prefix: to, via }) => [to, via])],
    [
      'wan',
      ['192.0.2.1'],
      [
        ['0.0.0.0/0', '192.0.2.2'],
        ['192.0.2.0/24', undefined],
      ],
    ],
  );
  const missing = await observeUplinks(host.run, [{ ...plainUplink, name: 'b', interface: 'none' }]);
  assert.equal(missing.size, 0);
});

const plainGateway = { interface: 'wan', onlink: false };
const plainUplink = { interface: undefined, source: undefined, gateway: undefined, priority: 0 };

/** Link between two namespaces, the first one .1, the second .2 of the networks. */
async function link(host: HostNamespace, name: string, outer: HostNamespace, net: string): Promise<void> {
  await host.run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`, 'netns', outer.name]);
  for (const [end, device, last] of [
    [host, name, '1'],
    [outer, `${name}p`, '2'],
  ] as const) {
    await end.run('ip', ['link', 'set', device, 'up']);
    await end.run('ip', ['address', 'add', `${net}.${last}/24`, 'dev', device]);
  }
}

const reaches = (from: HostNamespace, address: string): Promise<boolean> =>
  from.run('ping', ['-c', '1', '-W', '1', address]).then(
    () => true,
    () => false,
  );

test('a kill switch lets out what it must, and no more; a tunnel is masqueraded; answers come back', async (t) => {
  const [host, far, lan] = [await hostNamespace(t), await hostNamespace(t), await hostNamespace(t)];
  const name = `${host.prefix}0`;
  // To the rules an interface is a name: a plain link stands in for the tunnel.
  await link(host, name, far, '10.9.0');
  await link(host, 'lan0', lan, '10.1.0');
  await host.run('ip', ['address', 'add', '10.2.0.1/24', 'dev', 'lan0']);
  await lan.run('ip', ['address', 'add', '10.2.0.2/24', 'dev', 'lan0p']);
  await host.sysctls.write('net.ipv4.ip_forward', '1');
  await far.run('ip', ['route', 'add', 'default', 'via', '10.9.0.1']);
  await until('the LAN answers', () => reaches(host, '10.1.0.2'), { within: 5000 });

  const killSwitch = {
    mark: 77,
    registries: [must(parseEndpoint('10.1.0.2:7443')), must(parseEndpoint('[2001:db8::1]:7443'))],
    direct: [prefix('10.2.0.0/24')],
  };
  const closed = firewall(host, { killSwitch });
  await host.pass(state([], [], { firewall: closed }));
  assert.deepEqual((await host.observe()).firewall, closed);
  assert.deepEqual(
    await Promise.all([reaches(host, '10.1.0.2'), reaches(host, '10.2.0.2'), reaches(host, '10.9.0.2')]),
    [false, true, true],
  );
  assert.ok(await host.run('ping', ['-m', '77', '-c', '1', '-W', '1', '10.1.0.2']).then(() => true));
  // A port that answers with a reset shows that the packet left.
  const connects = async (port: string): Promise<string> =>
    (await host.run('bash', ['-c', `timeout 1 bash -c "</dev/tcp/10.1.0.2/${port}" 2>&1; true`])).stdout;
  assert.match(await connects('7443'), /refused/);
  assert.doesNotMatch(await connects('7444'), /refused/);

  // The LAN knows no way back to 10.9.0.0/24.
  const open = firewall(host, { reachable: [prefix('10.1.0.0/24')], tracked: true });
  await host.pass(state([], [], { firewall: open }));
  assert.ok(!(await reaches(far, '10.1.0.2')));
  await host.pass(state([], [], { firewall: { ...open, masquerade: ['lan0'] } }));
  assert.ok(await reaches(far, '10.1.0.2'));
  assert.ok(!(await reaches(far, '10.2.0.2')), 'what is not announced is not reached');

  // A LAN that is not announced and speaks first gets its answers.
  await lan.run('ip', ['route', 'add', '10.9.0.0/24', 'via', '10.2.0.1', 'src', '10.2.0.2']);
  await host.pass(state([], [], { firewall: { ...open, reachable: [] } }));
  assert.ok(await reaches(lan, '10.9.0.2'));
  assert.ok(!(await reaches(far, '10.2.0.2')));
});
