// What must be refused is refused with one precise line and the documented exit code, and leaves nothing half done.
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { formatJoinToken, parseJoinToken } from '#proto/codec/join-token.ts';
import { must } from '#proto/model/result.ts';
import { footprintOf } from '#test/support/lab/footprint.ts';
import { createLab } from '#test/support/lab/lab.ts';
import type { Finished } from '#test/support/lab/process.ts';
import { assertRefused, complete, expiredCertificate, pathWithout } from '#test/support/lab/refused.ts';
import { binary } from '#test/support/lab/service.ts';
import { hubAddress, hubEndpoint, registryAddress } from '#test/support/lab/worlds.ts';
import { until } from '#test/support/poll.ts';
import { createOverlay } from '#test/support/programs.ts';

test('refusals', async (t) => {
  const lab = await createLab({
    hosts: {
      registry: { attach: { internet: registryAddress } },
      hub: { attach: { internet: hubAddress } },
      spoke: { attach: { internet: '198.51.100.7' } },
      visitor: { attach: { internet: '198.51.100.8' } },
    },
  });
  t.after(() => lab.dispose());
  const overlay = await createOverlay(lab);
  t.after(() => overlay.dispose());
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const spoke = await overlay.join('spoke', { prefixes: ['10.10.1.0/24'] });
  await overlay.settled();
  const visitor = lab.host('visitor');

  const joinWith = (token: string, ...argv: string[]): Promise<Finished> =>
    visitor.runAny([binary('dmwg'), 'join', '-', '--state-dir', overlay.nodeDir('visitor'), ...argv], { input: token });

  /** The join is refused, and neither the visitor nor the registry shows a trace of it. */
  const refusesJoin = async (token: string, argv: readonly string[], says: RegExp, code: 1 | 2 = 1): Promise<void> => {
    const seen = async (): Promise<unknown> => [
      await overlay.ask('show', 'nodes'),
      await overlay.ask('show', 'tokens'),
    ];
    const names = (value: unknown): string =>
      JSON.stringify(value).replaceAll(/"(expiresIn|registeredAt)":[^,}]+/g, '');
    const before = names(await seen());
    assertRefused(await joinWith(token, ...argv), code, says);
    assert.equal(names(await seen()), before, 'the registry is as before');
    const left = await readdir(overlay.nodeDir('visitor')).catch(() => []);
    assert.deepEqual(left, [], 'no state is left');
  };

  const altered = async (change: {
    readonly caPin?: string;
    readonly registry?: readonly string[];
  }): Promise<string> => {
    const token = must(parseJoinToken(await overlay.token()));
    return formatJoinToken({ ...token, ...change }).reveal();
  };

  await t.test('a token that is used up', async () => {
    const token = await overlay.token('--uses', '1');
    const elsewhere = overlay.nodeDir('first');
    await visitor.run([binary('dmwg'), 'join', '-', '--state-dir', elsewhere, '--name', 'first'], { input: token });
    await refusesJoin(token, ['--name', 'second'], /used up|unknown/);
  });
  await t.test('a token that has expired', async () => {
    const token = await overlay.token('--expires', '1s');
    await new Promise((resolve) => setTimeout(resolve, 1100)); // its whole life
    await refusesJoin(token, ['--name', 'late'], /expired|unknown/);
  });
  await t.test('a token that was revoked', async () => {
    const created = (await overlay.ask('token', 'create')) as { readonly id: string; readonly token: string };
    assert.equal((await overlay.admin('token', 'revoke', created.id)).code, 0);
    await refusesJoin(created.token, ['--name', 'late'], /revoked/);
  });
  await t.test('a damaged token', async () => {
    await refusesJoin((await overlay.token()).slice(0, -3), [], /damaged/, 2);
  });
  await t.test('a registry with another CA', async () => {
    await refusesJoin(await altered({ caPin: 'ab'.repeat(32) }), ['--name', 'x'], /CA|certificate/);
  });
  await t.test('no registry at the address', async () => {
    await refusesJoin(await altered({ registry: [`${hubAddress}:7443`] }), ['--name', 'x'], /198\.51\.100\.3:7443/);
  });
  await t.test('a prefix that the token does not allow', async () => {
    await refusesJoin(
      await overlay.token('--prefix', '10.10.9.0/24'),
      ['--name', 'x', '--prefix', '10.10.8.0/24'],
      /10\.10\.8\.0\/24/,
    );
  });
  await t.test('a prefix that another node has', async () => {
    await refusesJoin(
      await overlay.token('--prefix', '10.10.0.0/16'),
      ['--name', 'x', '--prefix', '10.10.1.0/24'],
      /10\.10\.1\.0\/24.*spoke/,
    );
  });
  await t.test('an address that another node has', async () => {
    const argv = ['--name', 'x', '--address', spoke.address];
    await refusesJoin(await overlay.token(), argv, new RegExp(spoke.address.replaceAll('.', '\\.')));
  });
  await t.test('an address outside the pool', async () => {
    await refusesJoin(await overlay.token(), ['--name', 'x', '--address', '10.78.0.1'], /10\.78\.0\.1/);
  });
  await t.test('a name that another node has', async () => {
    await refusesJoin(await overlay.token(), ['--name', 'spoke'], /name spoke/);
  });
  await t.test('a role that the token is not for', async () => {
    const argv = ['--name', 'x', '--role', 'hub', '--endpoint', '198.51.100.8:51820'];
    await refusesJoin(await overlay.token('--role', 'spoke'), argv, /hub/);
  });
  await t.test('a state dir that is in use', async () => {
    const done = await visitor.runAny([binary('dmwg'), 'join', '-', '--state-dir', spoke.stateDir], {
      input: await overlay.token(),
    });
    assertRefused(done, 1, /already/);
    assertRefused(
      await overlay.admin(
        'init',
        '--state-dir',
        overlay.registry.stateDir,
        '--overlay-name',
        'again',
        '--pool',
        '10.9.0.0/24',
        '--registry-address',
        'h',
      ),
      1,
      /already/,
    );
  });

  await t.test('unknown flags and commands', async () => {
    for (const [program, ...argv] of complete) {
      assertRefused(await visitor.runAny([binary(program), ...argv, '--no-such-flag']), 2, /no-such-flag/);
    }
    assertRefused(await visitor.runAny([binary('dmwg'), 'no-such-command']), 2, /no-such-command/);
    assertRefused(await visitor.runAny([binary('dmwg'), 'join', '--state-dir', '/nonexistent']), 2, /token/i);
    assertRefused(await overlay.admin('token', 'create', '--uses', 'many'), 2, /many/);
  });

  const agentOn = (env: Record<string, string>, before: readonly string[] = []): Promise<Finished> => {
    const dir = overlay.nodeDir('first');
    const places = ['--state-dir', dir, '--interface-prefix', visitor.interfacePrefix, '--run-dir', join(dir, 'run')];
    return visitor.runAny([...before, binary('dmwg-agent'), ...places], { env, timeout: 15_000 });
  };

  await t.test('malformed configuration', async () => {
    const dir = overlay.nodeDir('first');
    const good = await readFile(join(dir, 'agent.yaml'), 'utf8');
    for (const [bad, says] of [
      ['{ this is: not yaml', /agent\.yaml/],
      [`${good}\nsurprise: 1\n`, /agent\.yaml.*surprise/],
      [good.replace(/address: .*/, 'address: 10.0.0.300'), /agent\.yaml.*10\.0\.0\.300/],
    ] as const) {
      await writeFile(join(dir, 'agent.yaml'), bad);
      assertRefused(await agentOn({}), 1, says);
    }
    await writeFile(join(dir, 'agent.yaml'), good);
    assert.deepEqual((await footprintOf(visitor)).interfaces, []);
  });

  await t.test('missing programs', async () => {
    const bin = await pathWithout(overlay.nodeDir('path'), ['wg', 'nft']);
    assertRefused(await agentOn({ PATH: bin }), 1, /wg.*apt-get install|apt-get install.*wireguard-tools/);
    assert.deepEqual((await footprintOf(visitor)).interfaces, []);
  });

  await t.test('no root', async () => {
    const done = await agentOn({}, ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--']);
    assertRefused(done, 1, /root/);
  });

  await t.test('a port that is in use', async () => {
    const done = await overlay.registry.host.runAny(
      [binary('dmwg-registry'), '--state-dir', overlay.registry.stateDir, '--listen', '0.0.0.0:7443'],
      { timeout: 15_000 },
    );
    assertRefused(done, 1, /in use|already|running/);
    assert.equal((await overlay.admin('show', 'nodes')).code, 0, 'the first one goes on');
  });

  await t.test('a node with an expired certificate', async () => {
    const dir = overlay.nodeDir('first');
    const good = await readFile(join(dir, 'node.crt'), 'utf8');
    await writeFile(join(dir, 'node.crt'), await expiredCertificate(overlay.registry.stateDir, dir));
    const done = await visitor.runAny([binary('dmwg'), 'show', 'nodes', '--state-dir', dir]);
    assertRefused(done, 1, /expired/);
    await writeFile(join(dir, 'node.crt'), good);
    assert.equal((await visitor.runAny([binary('dmwg'), 'show', 'nodes', '--state-dir', dir])).code, 0);
  });

  await t.test('a node of another overlay, with a CA of its own', async () => {
    const dir = overlay.nodeDir('other');
    const init = [
      'init',
      '--state-dir',
      dir,
      '--overlay-name',
      'test',
      '--pool',
      '10.9.0.0/24',
      '--registry-address',
      overlay.address,
    ];
    await visitor.run([binary('dmwg'), ...init]);
    const done = await visitor.runAny([binary('dmwg'), 'show', 'nodes', '--profile', join(dir, 'admin.yaml')]);
    assertRefused(done, 1, /certificate|CA/);
  });

  await t.test('a revoked node', async () => {
    assert.equal((await overlay.admin('revoke', 'spoke')).code, 0);
    const nodes = (await overlay.ask('show', 'nodes')) as readonly { readonly name: string }[];
    assert.ok(!nodes.some((node) => node.name === 'spoke'));
    const done = await spoke.host.runAny([binary('dmwg'), 'show', 'nodes', '--state-dir', spoke.stateDir]);
    assertRefused(done, 1, /join/);
    await until(
      'its tunnels are gone',
      async () => {
        const { interfaces, routes } = await footprintOf(spoke.host);
        return interfaces.length === 0 && routes.length === 0;
      },
      { within: 20_000, every: 250, explain: () => lab.state() },
    );
    await until(
      'the hub has forgotten it',
      async () => !(await footprintOf(hub.host)).peers.some((peer) => peer.includes(`${spoke.address}/32`)),
      {
        within: 20_000,
        every: 250,
        explain: () => lab.state(),
      },
    );
    const again = await overlay.token('--prefix', '10.10.1.0/24');
    const freed = await joinWith(again, '--name', 'spoke', '--prefix', '10.10.1.0/24', '--address', spoke.address);
    assert.equal(freed.code, 0, `its name, address and prefix are free: ${freed.stderr}`);
  });
});
