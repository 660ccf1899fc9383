// The text by which the kernel remembers what our nftables table was made from: names of empty chains in it. Listing the
// names of chains takes nft 6 ms however full our sets are; everything that could hold a comment takes it 300 ms when
// they are. The version grows whenever the same values make other rules: a table of another version reads as none and is
// made anew.
import { type Address, parseAddress, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { endpointAddress, endpointOf, endpointPort } from '#proto/model/endpoint.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';
import type { FirewallState, KillSwitch } from './host.ts';

const version = 'v8';
const chainName = /^state(\d+)_(.*)$/;
const chunkLength = 100;

/** Canonical: equal tables have equal texts. Only characters that nft takes in names. */
export function formatFirewallState(state: FirewallState): string {
  return [
    version,
    formatNames(state.indicate),
    formatNames(state.apart),
    formatNames(state.notice),
    String(state.nflogGroup),
    String(state.indicateAgain),
    formatNames(state.account),
    String(state.idleTimeout),
    formatNames(state.tunnels),
    formatPrefix(state.linkPrefix),
    formatPrefixes(state.reachable),
    state.tracked ? 'tracked' : '',
    formatNames(state.masquerade.map(toHex)),
    formatNumbered(state.sources.map(({ mark, address }) => [address, mark])),
    ...formatKillSwitch(state.killSwitch),
  ]
    .join('_')
    .replace(/_+$/, '');
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
  const [found, indicate, apart, notice, group, again, account, idle, tunnels, link, reachable, ...more] =
    text.split('_');
  const [tracked, masquerade, sources, mark, registries, direct, ...rest] = more;
  const linkPrefix = parseFormatted(link ?? '');
  const numbers = [group, again, idle].map(Number);
  if (found !== version || rest.length > 0 || !linkPrefix.ok || !numbers.every((number) => Number.isFinite(number))) {
    return fail('bad-firewall-state', 'the nftables table was not made by this version');
  }
  return ok({
    indicate: parseNames(indicate),
    apart: parseNames(apart),
    notice: parseNames(notice),
    nflogGroup: Number(group),
    indicateAgain: seconds(Number(again)),
    account: parseNames(account),
    idleTimeout: seconds(Number(idle)),
    tunnels: parseNames(tunnels),
    linkPrefix: linkPrefix.value,
    reachable: parsePrefixes(reachable),
    tracked: tracked === 'tracked',
    masquerade: parseNames(masquerade).map(fromHex),
    sources: parseNumbered(sources).map(([address, number]) => ({ mark: number, address })),
    killSwitch: parseKillSwitch(mark, registries, direct),
  });
}

function formatKillSwitch(killSwitch: KillSwitch | undefined): string[] {
  if (!killSwitch) return ['', '', ''];
  const { mark, registries, direct } = killSwitch;
  const places = registries.map((endpoint) => [endpointAddress(endpoint), endpointPort(endpoint)] as const);
  return [String(mark), formatNumbered(places), formatPrefixes(direct)];
}

function parseKillSwitch(mark = '', registries = '', direct = ''): KillSwitch | undefined {
  if (mark === '') return undefined;
  const endpoints = parseNumbered(registries).map(([address, port]) => endpointOf(address, port));
  return { mark: Number(mark), registries: endpoints, direct: parsePrefixes(direct) };
}

/** Addresses, each with a number. */
function formatNumbered(pairs: readonly (readonly [Address, number])[]): string {
  const words = pairs.map(([address, number]) => `${address}.p${String(number)}`);
  return words.sort().join('-').replaceAll(':', 'x');
}

function parseNumbered(text = ''): [Address, number][] {
  return text.split('-').flatMap((word): [Address, number][] => {
    const [, address = '', number] = /^(.*)\.p(\d+)$/.exec(word) ?? [];
    const parsed = parseAddress(address.replaceAll('x', ':'));
    return parsed.ok ? [[parsed.value, Number(number)]] : [];
  });
}

function formatPrefixes(prefixes: readonly Prefix[]): string {
  return [...prefixes].sort().map(formatPrefix).join('-');
}

function parsePrefixes(text = ''): Prefix[] {
  return text
    .split('-')
    .filter((word) => word !== '')
    .map(parseFormatted)
    .flatMap((prefix) => (prefix.ok ? [prefix.value] : []));
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

/** Interfaces of others may have any name. */
function toHex(text: string): string {
  return Array.from(text, (character) => character.charCodeAt(0).toString(16).padStart(2, '0')).join('');
}

function fromHex(text: string): string {
  return text.replaceAll(/../g, (pair) => String.fromCharCode(Number.parseInt(pair, 16)));
}

function parseNames(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split('.');
}
