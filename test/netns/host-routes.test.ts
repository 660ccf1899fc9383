// Routes by an `ip` that stays while interfaces come and go, and that may be killed.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createIpProgram } from '#agent/io/ip-program.ts';
import { hostNamespace } from './host-namespace.ts';
import { route, state, tunnel } from './host-values.ts';

test('an interface that was made anew, a route that cannot be, and an ip that was killed', async (t) => {
  const host = await hostNamespace(t);
  const name = `${host.prefix}0`;
  const wanted = async (...prefixes: string[]) =>
    state([await tunnel(host, name, ['10.99.0.1/32'])], [...prefixes.map((text) => route(text, name))]);
  const first = await wanted('10.1.0.0/24');
  await host.pass(first);
  await host.pass(state([...first.interfaces.values()], [route('10.2.0.0/24', name)]));
  await host.pass(state([], []));

  const second = await wanted('10.3.0.0/24');
  await host.pass(second);
  const more = state([...second.interfaces.values()], [route('10.4.0.0/24', name), route('10.5.0.0/24', name)]);
  await host.run('ip', ['route', 'add', '10.5.0.0/24', 'dev', 'lo', 'metric', '100']);
  await assert.rejects(host.pass(more), /10\.5\.0\.0\/24 already has a route of someone else/);
  await host.run('ip', ['route', 'del', '10.5.0.0/24', 'dev', 'lo']);
  await host.pass(more);
  assert.deepEqual([...(await host.observe()).routes.values()].map(({ prefix }) => prefix).sort(), [
    '10.4.0.0/24',
    '10.5.0.0/24',
  ]);

  const ip = createIpProgram(['ip', 'netns', 'exec', host.name, 'ip']);
  t.after(ip.forget);
  const add = (text: string) => `route add ${text} dev ${name}`;
  assert.deepEqual(await ip.run([add('10.6.0.0/24')]), {
    first: 1,
    stderr: 'Object "dmwg-end" is unknown, try "ip help".\nCommand failed -:2\n',
  });
  const both = await Promise.all([ip.run([add('10.6.0.0/24'), add('10.7.0.0/24')]), ip.run([add('10.8.0.0/24')])]);
  assert.match(both[0]?.stderr ?? '', /File exists\nCommand failed -:3\n/);
  assert.equal(both[1]?.first, 6);
  ip.forget();
  assert.equal((await ip.run([add('10.9.0.0/24')]))?.first, 1);
  const missing = createIpProgram(['dmwg-no-such-program']);
  assert.equal(await missing.run([add('10.9.0.0/24')]), undefined);
});

test('routes over two tunnels, and back to one, in both families', async (t) => {
  const host = await hostNamespace(t);
  const names = [`${host.prefix}-h1`, `${host.prefix}-h2`];
  const [first = '', second = ''] = names;
  const tunnels = await Promise.all(names.map((name) => tunnel(host, name, ['10.99.0.1/32', 'fd00:99::1/128'])));
  const networks = ['10.1.0.0/16', 'fd00:1::/32'];
  const wanted = (devices: string | readonly string[], present = tunnels) =>
    state(
      present,
      networks.map((text) => route(text, devices)),
    );
  const ways = async (): Promise<string[]> =>
    [...(await host.observe()).routes.values()].map(({ interfaces }) => interfaces.join());
  await host.pass(wanted(first));
  await host.pass(wanted(names));
  assert.deepEqual(await ways(), [names.join(), names.join()]);
  await host.pass(wanted(second));
  assert.deepEqual(await ways(), [second, second]);
  await host.pass(wanted(names));
  await host.pass(wanted(second, tunnels.slice(1)));
  assert.deepEqual(await ways(), [second, second], 'the tunnel went');
  await host.pass(wanted(names));
  await host.pass(state(tunnels, []));
  assert.deepEqual(await ways(), []);
});
