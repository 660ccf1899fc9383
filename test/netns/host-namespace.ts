// A network namespace of one's own, with the agent's hands in it.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type AppliedResult, applyChanges, type Hands } from '#agent/apply/changes.ts';
import { createIpProgram } from '#agent/io/ip-program.ts';
import { createWireguard } from '#agent/apply/wireguard.ts';
import type { Change } from '#agent/decide/change.ts';
import { diff } from '#agent/decide/diff.ts';
import { firewallTable, type HostState, nothing } from '#agent/decide/host.ts';
import { execute } from '#agent/io/exec.ts';
import { ExecError, type Run, type Sysctls } from '#agent/io/host-port.ts';
import { observeHost } from '#agent/observe/host.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';
import { until } from '#test/support/poll.ts';

export interface HostNamespace {
  readonly name: string;
  /** An interface prefix that nobody else has. */
  readonly prefix: string;
  readonly table: string;
  readonly run: Run;
  readonly hands: Hands;
  readonly sysctls: Sysctls;
  /** Makes the key of an interface. */
  key(interfaceName: string): Promise<PublicKey>;
  observe(desired?: HostState): Promise<HostState>;
  apply(changes: readonly Change[]): Promise<AppliedResult[]>;
  /** Observes, diffs, applies; throws if anything failed. Returns what was done. */
  pass(desired: HostState): Promise<Change[]>;
  sockets(): Promise<string[]>;
}

/** Gone, with all that is in it, at the end of the test. */
export async function hostNamespace(t: TestContext): Promise<HostNamespace> {
  const prefix = `t${randomBytes(3).toString('hex')}`;
  const name = `dmwg-host-${prefix}`;
  const keys = await mkdtemp(join(tmpdir(), 'dmwg-host-'));
  await execute('ip', ['netns', 'add', name]);
  // In an emulated machine everything takes long.
  const run: Run = (program, args, options) =>
    execute('ip', ['netns', 'exec', name, program, ...args], { timeout: 60_000, ...options });
  const sockets = async (): Promise<string[]> => {
    const found = await readdir('/var/run/wireguard').catch(() => []);
    return found.filter((file) => file.startsWith(prefix));
  };
  t.after(async () => {
    const links = await run('ip', ['-o', 'link', 'show']);
    for (const [, link] of links.stdout.matchAll(/^\d+: ([^:@]+)/gm)) {
      if (link?.startsWith(prefix)) await run('ip', ['link', 'del', link]);
    }
    await execute('ip', ['netns', 'del', name]);
    await until('sockets are gone', async () => (await sockets()).length === 0, { within: 5000 });
    await rm(keys, { recursive: true });
  });
  await run('ip', ['link', 'set', 'lo', 'up']);
  const sysctls = namespaceSysctls(run);
  const table = firewallTable(prefix);
  const keyFile = (interfaceName: string): string => join(keys, `${interfaceName}.key`);
  const ip = createIpProgram(['ip', 'netns', 'exec', name, 'ip']);
  t.after(ip.forget);
  const hands: Hands = { run, ip, sysctls, wireguard: createWireguard({ run, sysctls }), keyFile, table };
  const observe = (desired: HostState = nothing): Promise<HostState> =>
    observeHost({ run, interfacePrefix: prefix, desiredSysctls: desired.sysctls, readSysctl: sysctls.read });
  const apply = (changes: readonly Change[]): Promise<AppliedResult[]> => applyChanges(changes, hands);
  return {
    name,
    prefix,
    table,
    run,
    hands,
    sysctls,
    observe,
    apply,
    sockets,
    async key(interfaceName) {
      const secret = await execute('wg', ['genkey']);
      await writeFile(keyFile(interfaceName), secret.stdout, { mode: 0o600 });
      return must(parsePublicKey((await execute('wg', ['pubkey'], { stdin: secret.stdout })).stdout.trim()));
    },
    async pass(desired) {
      const changes = diff(await observe(desired), desired);
      const failed = (await apply(changes)).filter((result) => result.error !== undefined);
      if (failed.length > 0)
        throw new Error(failed.map(({ change, error }) => `${change.kind}: ${error ?? ''}`).join('\n'));
      return changes;
    },
  };
}

/** /proc/sys of the namespace, which only a process in it can see. */
function namespaceSysctls(run: Run): Sysctls {
  return {
    async read(name) {
      try {
        return (await run('sysctl', ['-n', name])).stdout.trim();
      } catch (error) {
        if (error instanceof ExecError) return undefined;
        throw error;
      }
    },
    async write(name, value) {
      await run('sysctl', ['-q', '-w', `${name}=${value}`]);
    },
    async children(name) {
      const { stdout } = await run('ls', [`/proc/sys/${name.replaceAll('.', '/')}`]);
      return stdout.trim().split('\n');
    },
  };
}
