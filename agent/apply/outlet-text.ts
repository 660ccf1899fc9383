// What nftables is asked about what leaves the host past the tunnels, and what leaves a tunnel for the world.
import type { FirewallState } from '#agent/decide/host.ts';
import { familyOf } from '#proto/model/address.ts';
import { endpointAddress, endpointPort } from '#proto/model/endpoint.ts';
import { names } from './firewall-words.ts';

/**
 * The kill switch. Besides what goes into a tunnel only WireGuard's own packets leave, what the host needs to have an address and
 * neighbours, and what is for a registry or the host's own networks.
 */
export function onlyThroughTunnels({ killSwitch, tunnels }: FirewallState, hook: 'output' | 'forward'): string[] {
  if (!killSwitch) return [];
  const { mark, registries, direct } = killSwitch;
  const out = `oifname != ${names([...tunnels, 'lo'])}`;
  const networks = (version: 4 | 6): string => direct.filter((prefix) => familyOf(prefix) === version).join(', ');
  const free = [
    ...(networks(4) === '' ? [] : [`ip daddr { ${networks(4)} } accept`]),
    ...(networks(6) === '' ? [] : [`ip6 daddr { ${networks(6)} } accept`]),
  ];
  if (hook === 'forward') return [...free.map((rule) => `${out} ${rule}`), `${out} drop`];
  return [
    // With uplinks there is a number of theirs before it.
    `${out} meta mark & 0xffff == ${String(mark)} accept`,
    `${out} udp sport 68 udp dport 67 accept`,
    `${out} udp sport 546 udp dport 547 accept`,
    `${out} icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept`,
    ...registries.map((endpoint) => {
      const address = endpointAddress(endpoint);
      const ip = familyOf(address) === 6 ? 'ip6' : 'ip';
      return `${out} ${ip} daddr ${address} tcp dport ${String(endpointPort(endpoint))} accept`;
    }),
    ...free.map((rule) => `${out} ${rule}`),
    `${out} drop`,
  ];
}

/**
 * wireguard-go sends from where it was asked last, by that interface: also when its packets have another mark since. A changed source
 * has the kernel look for the way again.
 */
export function sourcing({ sources }: FirewallState): string[] {
  return sources.map(({ mark, address }) => {
    const ip = familyOf(address) === 6 ? 'ip6' : 'ip';
    return `meta mark ${String(mark)} ${ip} saddr != ${address} ${ip} saddr set ${address}`;
  });
}

/** What came out of a tunnel leaves with the host's own address. */
export function masquerading({ masquerade, tunnels }: FirewallState): string[] {
  if (masquerade.length === 0 || tunnels.length === 0) return [];
  const by = masquerade.includes('*') ? `oifname != ${names([...tunnels, 'lo'])}` : `oifname ${names(masquerade)}`;
  return [`iifname ${names(tunnels)} ${by} masquerade`];
}
