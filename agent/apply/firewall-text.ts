// The whole of what dmwg asks of nftables, as the text of one transaction.
import type { FirewallState } from '#agent/decide/host.ts';
import { familyOf } from '#proto/model/address.ts';
import { stateChains } from '#agent/decide/firewall-state.ts';

const bfdPort = '3784';
const setSize = '65536';

interface Chain {
  readonly name: string;
  readonly hook: string;
  readonly rules: readonly string[];
}

/**
 * The transaction that makes the table `to`. With `from`, the table that is there: its sets keep what they have learnt, so
 * that nothing is indicated twice and no shortcut looks idle. It fails if that table is not there; without `from` whatever
 * is there is replaced.
 */
export function firewallText(table: string, from: FirewallState | undefined, to: FirewallState): string {
  const name = `inet ${table}`;
  const chains = chainsOf(to).filter((chain) => chain.rules.length > 0);
  const head = from
    ? [`flush table ${name}`, ...stateChains(from).map((chain) => `delete chain ${name} ${chain}`)]
    : [`add table ${name}`, `delete table ${name}`];
  return [
    ...head,
    `table ${name} {`,
    ...set('indicated4', 'ipv4_addr . ipv4_addr'),
    ...set('indicated6', 'ipv6_addr . ipv6_addr'),
    ...set('used4', 'ipv4_addr'),
    ...set('used6', 'ipv6_addr'),
    ...chains.flatMap((chain) => block(`chain ${chain.name}`, [`${chain.hook}; policy accept;`, ...chain.rules])),
    ...stateChains(to).flatMap((chain) => block(`chain ${chain}`, [])),
    '}',
    '',
  ].join('\n');
}

function chainsOf(state: FirewallState): Chain[] {
  return [
    {
      name: 'entering',
      hook: 'type filter hook prerouting priority filter',
      rules: accounting(state, 'iifname', 'saddr'),
    },
    { name: 'guard', hook: 'type filter hook input priority filter', rules: guard(state) },
    {
      name: 'forwarding',
      hook: 'type filter hook forward priority filter',
      rules: [...border(state), ...indication(state)],
    },
    {
      name: 'leaving',
      hook: 'type filter hook postrouting priority filter',
      rules: [...noticing(state), ...accounting(state, 'oifname', 'daddr')],
    },
  ];
}

/**
 * Out of a tunnel into the host's other networks goes what is for an announced prefix. WireGuard checks where a packet comes
 * from, not where it wants to go: else a peer could send anything anywhere through a host that forwards.
 */
function border(state: FirewallState): string[] {
  if (state.tunnels.length === 0) return [];
  const tunnels = names(state.tunnels);
  const rule = (version: 4 | 6): string[] => {
    const family = state.reachable.filter((prefix) => familyOf(prefix) === version);
    // nft has no set that holds everything.
    if (family.some((prefix) => prefix.endsWith('/0'))) return [];
    const ip = version === 4 ? 'ip' : 'ip6';
    const elsewhere =
      family.length === 0
        ? `meta nfproto ipv${String(version)}`
        : `${ip} daddr != { ${[...family].sort().join(', ')} }`;
    return [`iifname ${tunnels} oifname != ${tunnels} ${elsewhere} drop`];
  };
  return [...rule(4), ...rule(6)];
}

/** Traffic that a hub forwards from spoke to spoke. */
function indication(state: FirewallState): string[] {
  if (state.indicate.length === 0) return [];
  const among = names(state.indicate);
  return indicate(state, `iifname ${among} oifname ${among}`);
}

/** Traffic that a spoke sends to a hub. */
function noticing(state: FirewallState): string[] {
  return state.notice.length === 0 ? [] : indicate(state, `oifname ${names(state.notice)}`);
}

/** A scan of a whole network must not be a flood of messages. What is over it is indicated by a later packet. */
const limit = 'limit rate 500/second burst 1000 packets';

/** One message a pair. When the set is full, adding fails, the rule ends there, and the packet goes on. */
function indicate(state: FirewallState, where: string): string[] {
  const log = `log group ${String(state.nflogGroup)} snaplen 64 queue-threshold 1`;
  const timeout = `timeout ${String(state.indicateAgain)}s`;
  const rule = (ip: string, set: string, but: string): string => {
    const pair = `${ip} saddr . ${ip} daddr`;
    return `${where} ${ip} daddr != ${but} ${pair} != @${set} ${limit} add @${set} { ${pair} ${timeout} } ${log}`;
  };
  return [
    rule('ip', 'indicated4', '{ 224.0.0.0/4, 255.255.255.255 }'),
    rule('ip6', 'indicated6', `{ ff00::/8, fe80::/10, ${state.linkPrefix} }`),
  ];
}

/** Remembers remote addresses: who is on the other side of the tunnel. Link addresses carry BFD, which is no use. */
function accounting(state: FirewallState, interfaces: 'iifname' | 'oifname', end: 'saddr' | 'daddr'): string[] {
  if (state.account.length === 0) return [];
  const where = `${interfaces} ${names(state.account)}`;
  const timeout = `timeout ${String(state.idleTimeout)}s`;
  return [
    `${where} ip ${end} != { 224.0.0.0/4, 255.255.255.255 } update @used4 { ip ${end} ${timeout} }`,
    `${where} ip6 ${end} != { ff00::/8, fe80::/10, ${state.linkPrefix} } update @used6 { ip6 ${end} ${timeout} }`,
  ];
}

/** RFC 5881 section 5: a packet from the other end of a link has lost no hop. And a link address is reached by a tunnel. */
function guard(state: FirewallState): string[] {
  if (state.tunnels.length === 0) return [];
  const tunnels = names(state.tunnels);
  return [
    `iifname ${tunnels} udp dport ${bfdPort} ip ttl != 255 drop`,
    `iifname ${tunnels} udp dport ${bfdPort} ip6 hoplimit != 255 drop`,
    `iifname != ${names([...state.tunnels, 'lo'])} udp dport ${bfdPort} ip6 daddr ${state.linkPrefix} drop`,
  ];
}

function names(interfaces: readonly string[]): string {
  return `{ ${[...interfaces]
    .sort()
    .map((name) => `"${name}"`)
    .join(', ')} }`;
}

/** Elements bring their own timeout, so that a changed one needs no new set. */
function set(name: string, type: string): string[] {
  return block(`set ${name}`, [`type ${type}`, `size ${setSize}`, 'flags dynamic,timeout']);
}

function block(head: string, lines: readonly string[]): string[] {
  return [`  ${head} {`, ...lines.map((line) => `    ${line}`), '  }'];
}
