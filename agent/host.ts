// The host of this agent: the kernel read and changed through `ip`, `wg` and `nft`, and the key files.
import { join } from 'node:path';
import { ProgramError } from '#proto/kit/errors.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { UplinkConfig } from '#proto/model/uplink.ts';
import { applyChanges } from './apply/changes.ts';
import { createWireguard } from './apply/wireguard.ts';
import { diff } from './decide/diff.ts';
import { firewallTable, type HostState, nothing } from './decide/host.ts';
import type { KernelRoute, RouteSelector } from './decide/kernel-routes.ts';
import type { UplinkSight } from './decide/uplink-state.ts';
import { execute } from './io/exec.ts';
import { createIpProgram } from './io/ip-program.ts';
import { createKeyStore } from './io/state-dir-keys.ts';
import { procSysctls } from './io/sysctl.ts';
import type { World } from './world.ts';
import { observeActivity } from './observe/activity.ts';
import { observeHost } from './observe/host.ts';
import { observeKernelRoutes } from './observe/kernel-routes.ts';
import { observeUplinks } from './observe/uplinks.ts';
import { observePeers } from './observe/wireguard.ts';

export interface Host extends Pick<World, 'observe' | 'apply' | 'makeKey' | 'observePeers' | 'observeActivity'> {
  /** The routes of others. */
  observeRoutes(selectors: readonly RouteSelector[]): Promise<KernelRoute[]>;
  observeUplinks(uplinks: readonly UplinkConfig[]): Promise<ReadonlyMap<string, UplinkSight>>;
}

export function createHost(stateDir: string, interfacePrefix: string): Host {
  const keys = createKeyStore(stateDir);
  const table = firewallTable(interfacePrefix);
  const hands = {
    run: execute,
    ip: createIpProgram(),
    sysctls: procSysctls,
    wireguard: createWireguard({ run: execute, sysctls: procSysctls }),
    keyFile: (name: string) => join(stateDir, 'keys', `${name}.key`),
    table,
  };
  let checked = false;
  return {
    observe: async (desiredSysctls) => {
      const readSysctl = (name: string): Promise<string | undefined> => procSysctls.read(name);
      const host = await observeHost({ run: execute, interfacePrefix, desiredSysctls, readSysctl });
      // Afterwards whatever has these names was made here.
      if (!checked) {
        const foreign = foreignInterface(host, await keys.publicKeys());
        if (foreign !== undefined) throw new ProgramError(`${foreign}: its key is not in ${join(stateDir, 'keys')}`);
      }
      checked = true;
      return host;
    },
    apply: (changes) => applyChanges(changes, hands),
    makeKey: async (name) => (await keys.interfaceKey(name)).publicKey,
    observePeers: (name) => observePeers(execute, name),
    observeActivity: () => observeActivity(execute, table),
    observeUplinks: (uplinks) => observeUplinks(execute, uplinks),
    observeRoutes: (selectors) => observeKernelRoutes(execute, interfacePrefix, selectors),
  };
}

/** Says so if something that has our name is another's. One without a key, or that does not answer, is half made. */
export function foreignInterface(host: HostState, own: ReadonlySet<PublicKey>): string | undefined {
  const foreign = [...host.interfaces.values()].find(({ publicKey }) => publicKey !== undefined && !own.has(publicKey));
  if (!foreign) return undefined;
  const { name } = foreign;
  return `${name} belongs to someone else: delete it (\`ip link delete ${name}\`) or take another --interface-prefix`;
}

/** Takes everything of ours off the host. Throws a ProgramError that names what could not be removed. */
export async function removeAll(host: Host): Promise<void> {
  const results = await host.apply(diff(await host.observe(new Map()), nothing));
  const failed = results.filter((result) => result.error !== undefined);
  if (failed.length === 0) return;
  throw new ProgramError(`not everything could be removed: ${failed.map((result) => result.error ?? '').join('; ')}`);
}
