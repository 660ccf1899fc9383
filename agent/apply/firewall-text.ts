// The whole of what dmwg asks of nftables, as the text of one transaction.
import type { FirewallState } from '#agent/decide/host.ts';
import { familyOf } from '#proto/model/address.ts';
import { stateChains } from '#agent/decide/firewall-state.ts';
import { names } from './firewall-words.ts';
import { masquerading, onlyThroughTunnels, sourcing } from './outlet-text.ts';

const bfdPort = '3784';
const setSize = '65536';
/** Seconds for which an address that was used is not written down again. */
const longestFresh = 15;
/** Seconds for which answers to what was just indicated are not. */
const answerGrace = 1;

interface Chain {
  readonly name: string;
  /** Undefined: a chain that others jump to. */
  readonly hook?: string;
  readonly rules: readonly string[];
}

/**
 * The transaction that makes the table `to`. With `from`, the table that is there: its sets keep what they have learnt, so
 * that nothing is indicated twice and no shortcut looks idle. It fails if that table is not there; without `from` whatever
 * is there is replaced.
 *
 * Every packet of the host passes here, so what is not ours leaves a chain at its first comparison, and what is known already at
 * one look into a set: writing to a set costs many times as much.
 */
export function firewallText(table: string, from: FirewallState | undefined, to: FirewallState): string {
  const name = `inet ${table}`;
  const head = from
    ? [`flush table ${name}`, ...chainNames(from).map((chain) => `delete chain ${name} ${chain}`)]
    : [`add table ${name}`, `delete table ${name}`];
  return [
    ...head,
    `table ${name} {`,
    ...set('indicated4', 'ipv4_addr . ipv4_addr'),
    ...set('indicated6', 'ipv6_addr . ipv6_addr'),
    ...set('used4', 'ipv4_addr'),
    ...set('used6', 'ipv6_addr'),
    ...set('fresh4', 'ipv4_addr'),
    ...set('fresh6', 'ipv6_addr'),
    ...chainsOf(to).flatMap(({ name: chain, hook, rules }) => {
      return block(`chain ${chain}`, hook === undefined ? rules : [`${hook}; policy accept;`, ...rules]);
    }),
    ...stateChains(to).flatMap((chain) => block(`chain ${chain}`, [])),
    '}',
    '',
  ].join('\n');
}

/** Of the table made from `state`; those of hooks first, as a chain that is jumped to cannot be deleted before. */
function chainNames(state: FirewallState): string[] {
  const chains = chainsOf(state);
  const hooked = chains.filter(({ hook }) => hook !== undefined);
  const others = chains.filter(({ hook }) => hook === undefined);
  return [...hooked, ...others].map(({ name }) => name).concat(stateChains(state));
}

function chainsOf(state: FirewallState): Chain[] {
  const account = state.account.length > 0;
  const indicates = state.indicate.length + state.notice.length > 0;
  const chains: Chain[] = [
    { name: 'guard', rules: guard(state) },
    { name: 'pair', rules: indicates ? pair(state) : [] },
    { name: 'source', rules: account ? accounting(state, 'saddr') : [] },
    { name: 'destination', rules: account ? accounting(state, 'daddr') : [] },
    {
      name: 'entering',
      hook: 'type filter hook input priority filter',
      rules: [...jump(state.tunnels, `udp dport ${bfdPort}`, 'guard'), ...jump(state.account, iif(state), 'source')],
    },
    {
      name: 'forwarding',
      hook: 'type filter hook forward priority filter',
      rules: [
        ...border(state),
        ...(state.apart.length === 0 ? [] : [`iifname ${names(state.apart)} oifname ${names(state.apart)} drop`]),
        ...jump(state.indicate, `iifname ${names(state.indicate)} oifname ${names(state.indicate)}`, 'pair'),
        ...jump(state.account, iif(state), 'source'),
        ...onlyThroughTunnels(state, 'forward'),
      ],
    },
    {
      name: 'sourcing',
      hook: 'type route hook output priority raw',
      rules: sourcing(state),
    },
    {
      name: 'outgoing',
      hook: 'type filter hook output priority filter',
      rules: onlyThroughTunnels(state, 'output'),
    },
    {
      name: 'masquerading',
      hook: 'type nat hook postrouting priority srcnat',
      rules: masquerading(state),
    },
    {
      name: 'leaving',
      hook: 'type filter hook postrouting priority filter',
      rules: [
        ...jump(state.notice, `oifname ${names(state.notice)}`, 'pair'),
        ...jump(state.account, `oifname ${names(state.account)}`, 'destination'),
      ],
    },
  ];
  return chains.filter(({ rules }) => rules.length > 0);
}

function iif({ account }: FirewallState): string {
  return `iifname ${names(account)}`;
}

/** Nothing if there are no interfaces for it. */
function jump(interfaces: readonly string[], where: string, chain: string): string[] {
  return interfaces.length === 0 ? [] : [`${where} jump ${chain}`];
}

/**
 * Out of a tunnel into the host's other networks goes what is for an announced prefix. WireGuard checks where a packet comes
 * from, not where it wants to go: else a peer could send anything anywhere through a host that forwards.
 */
function border(state: FirewallState): string[] {
  if (state.tunnels.length === 0) return [];
  const tunnels = names(state.tunnels);
  const rule = (version: 4 | 6): string[] => {
    const prefixes = state.reachable.filter((prefix) => familyOf(prefix) === version);
    // nft has no set that holds everything.
    if (prefixes.some((prefix) => prefix.endsWith('/0'))) return [];
    const ip = version === 4 ? 'ip' : 'ip6';
    const elsewhere =
      prefixes.length === 0 ? `meta nfproto ${family(ip)}` : `${ip} daddr != { ${[...prefixes].sort().join(', ')} }`;
    // What the other side began never gets so far as to be an established connection.
    const began = state.tracked ? 'ct state { new, invalid, untracked } ' : '';
    return [`iifname ${tunnels} oifname != ${tunnels} ${began}${elsewhere} drop`];
  };
  return [...rule(4), ...rule(6)];
}

/** A scan of a whole network must not be a flood of messages. What is over it is indicated by a later packet. */
const limit = 'limit rate 500/second burst 1000 packets';

/**
 * Traffic that a hub forwards from spoke to spoke, or that a spoke sends to a hub: one message a pair. Who is indicated sets up both
 * directions; so the answers, which are soon there, are indicated only if they still come this way after a while. When the
 * set is full, adding fails, the rule ends there, and the packet goes on.
 */
function pair(state: FirewallState): string[] {
  const log = `log group ${String(state.nflogGroup)} snaplen 64 queue-threshold 1`;
  const timeout = `timeout ${String(state.indicateAgain)}s`;
  const rules = (ip: 'ip' | 'ip6', set: string, but: readonly string[]): string[] => {
    const both = `${ip} saddr . ${ip} daddr`;
    const back = `add @${set} { ${ip} daddr . ${ip} saddr timeout ${String(answerGrace)}s }`;
    return [
      `${both} @${set} return`,
      ...but.map((prefix) => `${ip} daddr ${prefix} return`),
      `meta nfproto ${family(ip)} ${limit} add @${set} { ${both} ${timeout} } ${back} ${log} return`,
    ];
  };
  return [
    ...rules('ip', 'indicated4', ['224.0.0.0/4', '255.255.255.255']),
    ...rules('ip6', 'indicated6', ['ff00::/8', 'fe80::/10', state.linkPrefix]),
  ];
}

/**
 * Remembers remote addresses: who is on the other side of the tunnel. Link addresses carry BFD, which is no use. What was written
 * down a moment ago is fresh, and not written again.
 */
function accounting(state: FirewallState, end: 'saddr' | 'daddr'): string[] {
  const fresh = Math.max(1, Math.min(longestFresh, Math.floor(state.idleTimeout / 4)));
  const rules = (ip: 'ip' | 'ip6', version: 4 | 6, but: readonly string[]): string[] => {
    const used = `update @used${String(version)} { ${ip} ${end} timeout ${String(state.idleTimeout + fresh)}s }`;
    return [
      `${ip} ${end} @fresh${String(version)} return`,
      ...but.map((prefix) => `${ip} ${end} ${prefix} return`),
      `${used} add @fresh${String(version)} { ${ip} ${end} timeout ${String(fresh)}s } return`,
    ];
  };
  return [
    ...rules('ip', 4, ['224.0.0.0/4', '255.255.255.255']),
    ...rules('ip6', 6, [state.linkPrefix, 'fe80::/10', 'ff00::/8']),
  ];
}

/** RFC 5881 section 5: a packet from the other end of a link has lost no hop. And a link address is reached by a tunnel. */
function guard(state: FirewallState): string[] {
  if (state.tunnels.length === 0) return [];
  const tunnels = names(state.tunnels);
  return [
    `iifname ${tunnels} ip ttl != 255 drop`,
    `iifname ${tunnels} ip6 hoplimit != 255 drop`,
    `iifname != ${names([...state.tunnels, 'lo'])} ip6 daddr ${state.linkPrefix} drop`,
  ];
}

function family(ip: 'ip' | 'ip6'): 'ipv4' | 'ipv6' {
  return ip === 'ip' ? 'ipv4' : 'ipv6';
}

/** Elements bring their own timeout, so that a changed one needs no new set. */
function set(name: string, type: string): string[] {
  return block(`set ${name}`, [`type ${type}`, `size ${setSize}`, 'flags dynamic,timeout']);
}

function block(head: string, lines: readonly string[]): string[] {
  return [`  ${head} {`, ...lines.map((line) => `    ${line}`), '  }'];
}
