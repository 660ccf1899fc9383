import assert from 'node:assert/strict';
import test from 'node:test';
import { createCa } from '#proto/kit/certificate.ts';
import { ProgramError } from '#proto/kit/errors.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { type Check, checkMachine } from '#registry/cli/checks.ts';
import { checkRegistry, checkStateDir } from '#registry/cli/checks-state.ts';
import type { Machine } from '#registry/cli/machine.ts';

interface Fake {
  readonly root?: boolean;
  readonly nodeVersion?: string;
  readonly now?: number;
  readonly programs?: readonly string[];
  /** First words of what works in a namespace. */
  readonly works?: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  readonly modes?: Readonly<Record<string, number>>;
  readonly writable?: boolean;
}

const everything = ['wg', 'ip', 'nft', 'setpriv', 'tcpdump', 'etcd', 'wireguard-go'];

function machine(fake: Fake): Machine {
  const files: Readonly<Record<string, string>> = { '/proc/net/if_inet6': '', ...fake.files };
  return {
    root: fake.root ?? true,
    nodeVersion: fake.nodeVersion ?? '20.11.0',
    now: fake.now ?? 0,
    find: (program) =>
      Promise.resolve((fake.programs ?? everything).includes(program) ? `/usr/bin/${program}` : undefined),
    tryIsolated: ([program = '']) =>
      Promise.resolve({ ok: (fake.works ?? ['ip', 'nft']).includes(program), text: 'no\nmore' }),
    read: (path) => Promise.resolve(files[path]),
    writable: () => Promise.resolve(fake.writable ?? true),
    mode: (path) => Promise.resolve(fake.modes?.[path]),
    list: (dir) =>
      Promise.resolve(
        Object.keys(fake.modes ?? {}).flatMap((path) =>
          path.startsWith(`${dir}/`) ? [path.slice(dir.length + 1)] : [],
        ),
      ),
  };
}

function level(checks: readonly Check[], name: string): string | undefined {
  return checks.find((check) => check.name === name)?.level;
}

test('a machine with everything is ready for every duty', async () => {
  for (const duty of ['spoke', 'hub', 'registry', 'unknown'] as const) {
    const checks = await checkMachine(machine({}), duty, true);
    assert.deepEqual(
      checks.filter((check) => check.level !== 'ok'),
      [],
      duty,
    );
  }
});

test('a missing program is a failure only where it is needed, with the command that installs it', async () => {
  const bare = machine({ programs: [] });
  const spoke = await checkMachine(bare, 'spoke', false);
  assert.deepEqual([level(spoke, 'wg'), level(spoke, 'tcpdump'), level(spoke, 'etcd')], ['fail', undefined, undefined]);
  const fix = spoke.find(({ name }) => name === 'nft')?.fix;
  assert.equal(fix, 'apt-get install --no-install-recommends -y nftables');
  const hub = await checkMachine(bare, 'hub', false);
  assert.equal(level(hub, 'tcpdump'), 'fail');
  const registry = await checkMachine(bare, 'registry', true);
  assert.deepEqual([level(registry, 'etcd'), level(registry, 'wg')], ['fail', undefined]);
  assert.equal(level(await checkMachine(bare, 'registry', false), 'etcd'), undefined);
  const unknown = await checkMachine(bare, 'unknown', true);
  assert.deepEqual([level(unknown, 'wg'), level(unknown, 'etcd')], ['fail', 'warn']);
});

test('WireGuard: the kernel, else wireguard-go with its device, else none', async () => {
  const wireguard = async (fake: Fake): Promise<Check | undefined> =>
    (await checkMachine(machine(fake), 'spoke', false)).find(({ name }) => name === 'wireguard');
  assert.equal((await wireguard({}))?.detail, 'in the kernel');
  const noKernel = { works: ['nft'] };
  assert.match(
    (await wireguard({ ...noKernel, modes: { '/dev/net/tun': 0o666 } }))?.detail ?? '',
    /^\/usr\/bin\/wireguard-go;/,
  );
  assert.match((await wireguard(noKernel))?.detail ?? '', /needs \/dev\/net\/tun/);
  assert.match((await wireguard({ ...noKernel, programs: [] }))?.fix ?? '', /^modprobe wireguard \|\| apt-get install/);
});

test('kernel, root, Node and forwarding', async () => {
  const poor: Fake = { root: false, nodeVersion: '18.20.4', works: [], writable: false };
  const checks = await checkMachine(machine(poor), 'hub', false);
  assert.deepEqual(
    [level(checks, 'root'), level(checks, 'node'), level(checks, 'ip_forward')],
    ['fail', 'fail', 'fail'],
  );
  const rooted = await checkMachine(machine({ works: ['ip'] }), 'hub', false);
  const nftables = rooted.find(({ name }) => name === 'nftables');
  assert.deepEqual([nftables?.level, nftables?.detail], ['fail', 'the kernel does not take our rules: no']);
});

test('a state dir that others may read, and a certificate against the clock', async () => {
  const now = Date.UTC(2030, 0, 1);
  const { certificate } = await createCa('lab', now as Timestamp);
  const files = { '/n/node.crt': certificate };
  const good = { '/n': 0o700, '/n/node.key': 0o600, '/n/ca.crt': 0o644 };
  const fine = await checkStateDir(machine({ now, files, modes: good }), '/n', 'spoke');
  assert.deepEqual(
    fine.map((check) => check.level),
    ['ok', 'ok'],
  );

  const open = { ...good, '/n': 0o755, '/n/node.key': 0o640 };
  const [modes] = await checkStateDir(machine({ now, files, modes: open }), '/n', 'spoke');
  assert.deepEqual([modes?.level, modes?.fix], ['fail', 'chmod 0700 /n && chmod 0600 /n/node.key']);

  const at = async (moment: number): Promise<Check | undefined> =>
    (await checkStateDir(machine({ now: moment, files, modes: good }), '/n', 'spoke'))[1];
  assert.match((await at(now - 48 * 3_600_000))?.detail ?? '', /clock is behind/);
  assert.match((await at(Date.UTC(2060, 0, 1)))?.detail ?? '', /expired on 20\d\d-/);
  const missing = await checkStateDir(machine({ modes: good }), '/n', 'spoke');
  assert.match(missing[1]?.detail ?? '', /node\.crt is missing/);
});

test('a registry that does not answer fails a node, and only warns its own machine', async () => {
  const away = (): Promise<never> => Promise.reject(new ProgramError('nothing listens'));
  assert.equal((await checkRegistry('/n', 'spoke', away)).level, 'fail');
  const own = await checkRegistry('/r', 'registry', away);
  assert.deepEqual([own.level, own.fix], ['warn', 'dmwg-registry --state-dir /r']);
  assert.equal((await checkRegistry('/n', 'hub', () => Promise.resolve())).level, 'ok');
});
