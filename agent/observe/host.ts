// observe/: the world as values. Reads the kernel through `ip`, `wg` and `nft` and decides nothing. May import decide's
// types, proto/model, proto/kit and the port types of agent/io. Throws an ExecError when a program fails; what vanishes
// while it is looked at is left out.
import { firewallTable, type HostState, type TunnelState } from '#agent/decide/host.ts';
import type { Run, Sysctls } from '#agent/io/host-port.ts';
import { observeFirewall } from './firewall.ts';
import { type LinkState, observeLinks } from './links.ts';
import { observeRoutes } from './routes.ts';
import { observeRules } from './rules.ts';
import { observeSysctls } from './sysctls.ts';
import { observeWireguard, type Reading } from './wireguard.ts';

export interface ObserveHost {
  readonly run: Run;
  readonly interfacePrefix: string;
  /** The names matter, not the values. */
  readonly desiredSysctls: ReadonlyMap<string, string>;
  readonly readSysctl: Sysctls['read'];
}

/** Everything on this host that is ours. One moment's picture but for what changes while it is taken. */
export async function observeHost(options: ObserveHost): Promise<HostState> {
  const { run, interfacePrefix } = options;
  const [tunnels, ways, rules, firewall, sysctls] = await Promise.all([
    observeTunnels(run, interfacePrefix),
    observeRoutes(run, interfacePrefix),
    observeRules(run, interfacePrefix),
    observeFirewall(run, firewallTable(interfacePrefix)),
    observeSysctls(options.desiredSysctls.keys(), options.readSysctl),
  ]);
  return { ...tunnels, ...ways, rules, firewall, sysctls };
}

async function observeTunnels(
  run: Run,
  interfacePrefix: string,
): Promise<Pick<HostState, 'interfaces' | 'unreadable'>> {
  const links = await observeLinks(run, interfacePrefix);
  const devices = await observeWireguard(run, links.keys());
  const interfaces = new Map([...links].map(([name, link]) => [name, tunnelOf(link, devices.get(name))] as const));
  const unreadable = new Set([...devices].filter(([, device]) => device === 'unreadable').map(([name]) => name));
  return unreadable.size === 0 ? { interfaces } : { interfaces, unreadable };
}

function tunnelOf(link: LinkState, reading: Reading | undefined): TunnelState {
  const device = reading === 'unreadable' ? undefined : reading;
  return {
    ...link,
    publicKey: device?.publicKey,
    listenPort: device?.listenPort ?? 0,
    mark: device?.mark ?? 0,
    peers: device?.peers ?? new Map(),
  };
}
