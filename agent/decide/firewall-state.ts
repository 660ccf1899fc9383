// The text by which the kernel remembers what our nftables table was made from: names of empty chains in it. Listing the
// names of chains takes nft 6 ms however full our sets are; everything that could hold a comment takes it 300 ms when
// they are. The version grows whenever the same values make other rules: a table of another version reads as none and is
// made anew.
import { parsePrefix, type Prefix } from '#proto/model/address.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';
import type { FirewallState } from './host.ts';

const version = 'v5';
const chainName = /^state(\d+)_(.*)$/;
const chunkLength = 100;

/** Canonical: equal tables have equal texts. Only characters that nft takes in names. */
export function formatFirewallState(state: FirewallState): string {
  return [
    version,
    formatNames(state.indicate),
    formatNames(state.notice),
    String(state.nflogGroup),
    String(state.indicateAgain),
    formatNames(state.account),
    String(state.idleTimeout),
    formatNames(state.tunnels),
    formatPrefix(state.linkPrefix),
    [...state.reachable].sort().map(formatPrefix).join('-'),
  ].join('_');
}

/** The names of the chains that hold the text. */
export function stateChains(state: FirewallState): string[] {
  const text = formatFirewallState(state);
  const count = Math.ceil(text.length / chunkLength);
  return Array.from({ length: count }, (_, index) => {
    return `state${String(index)}_${text.slice(index * chunkLength, (index + 1) * chunkLength)}`;
  });
}

/** `chains`: the names of all chains of the table, in any order. */
export function parseStateChains(chains: Iterable<string>): Result<FirewallState> {
  const chunks: string[] = [];
  for (const chain of chains) {
    const match = chainName.exec(chain);
    if (match) chunks[Number(match[1])] = match[2] ?? '';
  }
  return parseFirewallState(chunks.join(''));
}

function parseFirewallState(text: string): Result<FirewallState> {
  const [found, indicate, notice, group, again, account, idle, tunnels, link, reachable, ...rest] = text.split('_');
  const linkPrefix = parseFormatted(link ?? '');
  const prefixes = (reachable ?? '')
    .split('-')
    .filter((word) => word !== '')
    .map(parseFormatted);
  const numbers = [group, again, idle].map(Number);
  if (found !== version || rest.length > 0 || !linkPrefix.ok || !numbers.every((number) => Number.isFinite(number))) {
    return fail('bad-firewall-state', 'the nftables table was not made by this version');
  }
  return ok({
    indicate: parseNames(indicate),
    notice: parseNames(notice),
    nflogGroup: Number(group),
    indicateAgain: seconds(Number(again)),
    account: parseNames(account),
    idleTimeout: seconds(Number(idle)),
    tunnels: parseNames(tunnels),
    linkPrefix: linkPrefix.value,
    reachable: prefixes.flatMap((prefix) => (prefix.ok ? [prefix.value] : [])),
  });
}

/** nft takes no colon in a name. */
function formatPrefix(prefix: Prefix): string {
  return prefix.replaceAll(':', 'x');
}

function parseFormatted(text: string): Result<Prefix> {
  return parsePrefix(text.replaceAll('x', ':'));
}

function formatNames(interfaces: readonly string[]): string {
  return [...interfaces].sort().join('.');
}

function parseNames(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split('.');
}
