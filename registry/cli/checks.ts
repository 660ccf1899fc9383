// What dmwg needs of a machine, checked without changing it. Each check says what it saw and how to mend it.
import type { Machine } from './machine.ts';

export type Duty = 'spoke' | 'hub' | 'registry' | 'unknown';

export interface Check {
  readonly name: string;
  /** fail: a program of this machine's duty cannot work. */
  readonly level: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** The command that mends it. */
  readonly fix?: string;
}

interface Tool {
  readonly program: string;
  readonly debianPackage: string;
  readonly use: string;
  readonly neededBy: readonly Duty[];
}

const tools: readonly Tool[] = [
  { program: 'wg', debianPackage: 'wireguard-tools', use: 'sets up tunnels', neededBy: ['spoke', 'hub'] },
  { program: 'ip', debianPackage: 'iproute2', use: 'sets up interfaces and routes', neededBy: ['spoke', 'hub'] },
  { program: 'nft', debianPackage: 'nftables', use: 'notices traffic', neededBy: ['spoke', 'hub'] },
  {
    program: 'setpriv',
    debianPackage: 'util-linux',
    use: 'ties children to their parent',
    neededBy: ['spoke', 'hub', 'registry'],
  },
  {
    program: 'tcpdump',
    debianPackage: 'tcpdump',
    use: 'reads what nft noticed; hubs, and spokes in phase 2',
    neededBy: ['hub'],
  },
  { program: 'etcd', debianPackage: 'etcd-server', use: "the registry's own store", neededBy: ['registry'] },
];

/** `ownEtcd` is false for a registry on a cluster. */
export async function checkMachine(machine: Machine, duty: Duty, ownEtcd: boolean): Promise<Check[]> {
  const node = duty !== 'registry';
  const needed = tools.filter(({ program }) => program !== 'etcd' || ownEtcd);
  return [
    checkNode(machine),
    ...(node ? [checkRoot(machine, duty)] : []),
    ...(await Promise.all(needed.map((tool) => checkTool(machine, tool, duty)))).flat(),
    ...(node ? [await checkWireGuard(machine), await checkFirewall(machine), await checkIpv6(machine)] : []),
    ...(duty === 'hub'
      ? [await checkForwarding(machine, 'ipv4.ip_forward'), await checkForwarding(machine, 'ipv6.conf.all.forwarding')]
      : []),
  ];
}

function install(debianPackage: string): string {
  return `apt-get install --no-install-recommends -y ${debianPackage}`;
}

function checkNode({ nodeVersion }: Machine): Check {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  const good = major > 20 || (major === 20 && minor >= 11);
  const fix = 'install Node.js 20.11 or later from https://nodejs.org';
  return good
    ? { name: 'node', level: 'ok', detail: nodeVersion }
    : { name: 'node', level: 'fail', detail: `${nodeVersion} is too old`, fix };
}

function checkRoot({ root }: Machine, duty: Duty): Check {
  if (root) return { name: 'root', level: 'ok', detail: 'yes' };
  const level = duty === 'unknown' ? 'warn' : 'fail';
  return { name: 'root', level, detail: 'no; dmwg-agent needs it, and some checks here do', fix: 'sudo dmwg doctor' };
}

async function checkTool(machine: Machine, tool: Tool, duty: Duty): Promise<Check[]> {
  const { program: name, debianPackage, use, neededBy } = tool;
  // Before it is known what the machine will be, it is taken for a spoke.
  const needed = neededBy.includes(duty === 'unknown' ? 'spoke' : duty);
  if (!needed && duty !== 'unknown') return [];
  const path = await machine.find(name);
  if (path !== undefined) return [{ name, level: 'ok', detail: path }];
  return [{ name, level: needed ? 'fail' : 'warn', detail: `missing; ${use}`, fix: install(debianPackage) }];
}

async function checkWireGuard(machine: Machine): Promise<Check> {
  const name = 'wireguard';
  const kernel = machine.root
    ? (await machine.tryIsolated(['ip', 'link', 'add', 'dmwgdoctor', 'type', 'wireguard'])).ok
    : (await machine.list('/sys/module')).includes('wireguard');
  if (kernel) return { name, level: 'ok', detail: 'in the kernel' };
  const path = await machine.find('wireguard-go');
  if (path === undefined) {
    return {
      name,
      level: 'fail',
      detail: 'neither in the kernel nor wireguard-go',
      fix: `modprobe wireguard || ${install('wireguard-go')}`,
    };
  }
  if ((await machine.mode('/dev/net/tun')) === undefined) {
    const fix = 'modprobe tun || { mkdir -p /dev/net && mknod -m 0666 /dev/net/tun c 10 200; }';
    return { name, level: 'fail', detail: 'wireguard-go needs /dev/net/tun, which is missing', fix };
  }
  return { name, level: 'ok', detail: `${path}; not in the kernel, which would be faster` };
}

/** What a hub's agent installs, in a namespace of its own. */
const ruleset = `add table inet dmwgdoctor
add set inet dmwgdoctor seen { type ipv4_addr . ipv4_addr; flags dynamic,timeout; timeout 10s; }
add chain inet dmwgdoctor forward { type filter hook forward priority 0; }
add rule inet dmwgdoctor forward ip saddr . ip daddr @seen accept
add rule inet dmwgdoctor forward log group 1 snaplen 64 queue-threshold 1
`;

async function checkFirewall(machine: Machine): Promise<Check> {
  const name = 'nftables';
  if (!machine.root) return { name, level: 'warn', detail: 'not tried without root', fix: 'sudo dmwg doctor' };
  const { ok, text } = await machine.tryIsolated(['nft', '-f', '-'], ruleset);
  if (ok) return { name, level: 'ok', detail: 'sets with timeout and log groups work' };
  const why = text.split('\n')[0] ?? '';
  return {
    name,
    level: 'fail',
    detail: `the kernel does not take our rules: ${why}`,
    fix: 'modprobe -a nf_tables nft_log nfnetlink_log',
  };
}

async function checkIpv6(machine: Machine): Promise<Check> {
  // Switched off by sysctl is no obstacle: the agent switches it on for its own interfaces.
  const there = (await machine.read('/proc/net/if_inet6')) !== undefined;
  if (there) return { name: 'ipv6', level: 'ok', detail: 'in the kernel' };
  const fix = 'take ipv6.disable=1 from the kernel command line and restart the machine';
  return { name: 'ipv6', level: 'fail', detail: 'switched off in the kernel; the tunnels carry link addresses', fix };
}

async function checkForwarding(machine: Machine, key: string): Promise<Check> {
  const path = `/proc/sys/net/${key.replaceAll('.', '/')}`;
  const name = key.endsWith('ip_forward') ? 'ip_forward' : 'ipv6 forwarding';
  const value = (await machine.read(path))?.trim();
  if (value === '1') return { name, level: 'ok', detail: 'on' };
  if (await machine.writable(path)) return { name, level: 'ok', detail: 'off; the agent switches it on' };
  const fix = `sysctl -w net.${key}=1`;
  return { name, level: 'fail', detail: 'off, and not to be changed from here; a hub forwards', fix };
}
