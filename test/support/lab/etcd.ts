import { readFile, readlink } from 'node:fs/promises';
import { programsOn } from './footprint.ts';
import type { Host } from './host.ts';

/** Of the etcd that a registry on this host runs. */
export async function etcdPid(host: Host): Promise<number | undefined> {
  return (await programsOn(host)).find(({ name }) => name === 'etcd')?.pid;
}

/** The keys of the overlay, without those of replicas, which are new at every start. */
export async function etcdKeys(host: Host): Promise<string[]> {
  const pid = await etcdPid(host);
  if (pid === undefined) throw new Error('etcd does not run');
  const argv = (await readFile(`/proc/${String(pid)}/cmdline`, 'utf8')).split('\0');
  const flag = argv.findIndex((word) => word.startsWith('--listen-client-urls'));
  const url = argv[flag]?.split('=')[1] ?? argv[flag + 1] ?? '';
  const env = { ETCDCTL_API: '3' };
  // It listens on a unix socket that it names relative to its working directory.
  const cwd = await readlink(`/proc/${String(pid)}/cwd`);
  const text = await host.run(['etcdctl', '--endpoints', url, 'get', '--prefix', '/dmwg/', '--keys-only'], {
    env,
    cwd,
  });
  return text.split('\n').filter((line) => line !== '' && !line.includes('/replicas/'));
}
