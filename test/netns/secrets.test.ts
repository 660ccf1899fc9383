// No private key and no token shows up in arguments, logs, environments or files that others can read.
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { createLab } from '#test/support/lab/lab.ts';
import { bothDirect, direct, replyThat } from '#test/support/lab/paths.ts';
import { run } from '#test/support/lab/process.ts';
import { hubEndpoint, officeA, officeB, sites } from '#test/support/lab/worlds.ts';
import { createOverlay } from '#test/support/programs.ts';

/** The programs whose arguments are recorded. */
const recorded = ['wg', 'ip', 'nft', 'tcpdump', 'wireguard-go', 'etcd', 'setpriv', 'sysctl', 'node'];

/** A directory for PATH, in which each of these programs notes its arguments and then does its work. */
async function recorders(directory: string, file: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  for (const name of recorded) {
    const real = (await run(['sh', '-c', `command -v ${name} || true`])).trim();
    if (real === '') continue;
    const script = `#!/bin/sh\n{ printf '%s\\n' ${name} "$@" "$DMWG_TOKEN"; } >>${file}\nexec ${real} "$@"\n`;
    await writeFile(join(directory, name), script);
    await chmod(join(directory, name), 0o755);
  }
  return `${directory}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
}

async function filesUnder(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.map((entry) => join(entry.parentPath, entry.name));
}

test('secrets stay secret', async (t) => {
  const lab = await createLab(sites('restricted'));
  t.after(() => lab.dispose());
  const record = join(await run(['mktemp', '-d']).then((text) => text.trim()), 'arguments');
  t.after(() => run(['rm', '-rf', join(record, '..')]));
  const PATH = await recorders(join(record, '..', 'bin'), record);
  const overlay = await createOverlay(lab, { env: { PATH }, logLevel: 'trace' });
  t.after(() => overlay.dispose());
  const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
  const a = await overlay.join('a', { prefixes: [officeA] });
  const b = await overlay.join('b', { prefixes: [officeB] });
  const agents = [hub, a, b];
  await overlay.settled();
  const ping = a.host.startPing({ to: b.address, rate: 20 });
  await replyThat(lab, ping, { came: direct, what: 'without a hop' });
  await bothDirect(lab, a, b);
  await ping.finish();

  const secrets = new Map<string, string>();
  for (const [index, token] of overlay.tokens().entries()) {
    secrets.set(`token ${String(index)}`, token);
    secrets.set(`second half of token ${String(index)}`, token.slice(token.length / 2));
  }
  for (const agent of agents) {
    for (const name of await readdir(join(agent.stateDir, 'keys'))) {
      secrets.set(`${agent.name} ${name}`, (await readFile(join(agent.stateDir, 'keys', name), 'utf8')).trim());
    }
    const live = await agent.host.run(['wg', 'show', 'all', 'private-key']);
    for (const line of live.split('\n').filter((one) => one.startsWith(agent.host.interfacePrefix)))
      secrets.set(`${agent.name} ${line.split('\t')[0] ?? ''}`, line.split('\t')[1] ?? '');
  }
  const pems = [
    ...agents.map((agent) => join(agent.stateDir, 'node.key')),
    ...['ca.key', 'registry.key'].map((name) => join(overlay.registry.stateDir, name)),
  ];
  for (const path of pems) secrets.set(path, pemBody(await readFile(path, 'utf8')));

  /** Names of the secrets in a text. */
  const found = (text: string): string[] => {
    const flat = text.replaceAll('\\n', '').replaceAll('\n', '');
    return [...secrets].filter(([, secret]) => text.includes(secret) || flat.includes(secret)).map(([name]) => name);
  };

  await t.test('there are secrets to look for', () => {
    assert.ok(secrets.size >= 3 * 2 + 5 + 3 + 2, [...secrets.keys()].join());
    for (const [name, secret] of secrets) assert.ok(secret.length >= 40, name);
  });
  await t.test('arguments of programs', async () => {
    const text = await readFile(record, 'utf8');
    assert.match(text, /^wg\n(set|syncconf|setconf|addconf)/m, 'the record works');
    assert.match(text, /^ip\n/m);
    assert.deepEqual(found(text), []);
  });
  await t.test('logs at trace level', () => {
    for (const service of [overlay.registry, ...agents]) {
      const text = service.output();
      assert.ok(
        service.log().some((line) => line.fields['level'] === 10),
        `${service.stateDir}: trace level is on`,
      );
      assert.deepEqual(found(text), [], service.stateDir);
    }
  });
  await t.test('arguments and environment of what runs', async () => {
    for (const name of ['registry', 'hub', 'a', 'b']) {
      const host = lab.host(name);
      for (const pid of (await host.run(['ip', 'netns', 'pids', host.namespace])).split('\n').filter(Boolean)) {
        for (const file of ['cmdline', 'environ']) {
          const text = await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
          assert.deepEqual(found(text), [], `${file} of ${text}`);
        }
      }
    }
  });
  await t.test('what commands print', async () => {
    for (const what of ['nodes', 'hubs', 'bindings', 'routes', 'tokens', 'events', 'dmvpn']) {
      const { stdout, stderr } = await overlay.admin('show', what, ...(what === 'dmvpn' ? [] : ['-o', 'json']));
      assert.deepEqual(found(stdout + stderr), [], what);
    }
    for (const agent of agents) assert.deepEqual(found(JSON.stringify(await agent.status())), []);
  });
  await t.test('files', async () => {
    for (const dir of [overlay.registry.stateDir, ...agents.map((agent) => agent.stateDir)]) {
      assert.equal((await stat(dir)).mode & 0o777, 0o700, dir);
      for (const path of await filesUnder(dir)) {
        const { mode } = await stat(path);
        const name = path.split('/').at(-1) ?? '';
        if (/\.key$|^admin\.yaml$|^state\.json$|^agent\.yaml$|\.sock$/.test(name)) assert.equal(mode & 0o077, 0, path);
        assert.equal(mode & 0o002, 0, path);
      }
    }
  });
  await t.test('a token is not stored, nor a private key outside its file', async () => {
    for (const dir of [overlay.registry.stateDir, ...agents.map((agent) => agent.stateDir)]) {
      for (const path of await filesUnder(dir)) {
        if (!(await stat(path)).isFile() || /\.key$|admin\.yaml$/.test(path)) continue;
        assert.deepEqual(found(await readFile(path, 'latin1')), [], path);
      }
    }
  });
});

function pemBody(text: string): string {
  return text.replaceAll(/-----[A-Z ]+-----|\s/g, '');
}
