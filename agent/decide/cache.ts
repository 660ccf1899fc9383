// The NHRP cache of a node, as routers know theirs: which kinds of entries there are, and which may replace which.
import { type Address, familyOf, hostPrefix, type Prefix } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import type { PublicKey } from '#proto/model/key.ts';
import { type Instant, toMilliseconds } from '#proto/model/time.ts';
import { matchShortcut } from './nhrp-messages.ts';
import { announcedPrefixes } from './routing-state.ts';
import { type AgentState, multipointName, type Resolution, type Shortcut } from './state.ts';

/**
 * Lowest first. Incomplete: asked for; negative: refused; cached: heard in the request of its node, not authoritative; dynamic:
 * answered; nhs: a hub; static: configured; local: this node's own.
 */
const ranked = ['incomplete', 'negative', 'cached', 'dynamic', 'nhs', 'static', 'local'] as const;
export type CacheType = (typeof ranked)[number];

/** A lower type never replaces a higher one. */
export function outranks(held: CacheType, news: CacheType): boolean {
  return ranked.indexOf(held) > ranked.indexOf(news);
}

/** An entry as it is shown. */
export interface CacheEntry {
  readonly prefix: Prefix;
  readonly type: CacheType;
  /** Empty while it is not known. */
  readonly node: string;
  /** The next hop; null while it is not known. */
  readonly address: Address | null;
  readonly endpoint: Endpoint | null;
  readonly interface: string;
  readonly flags: readonly string[];
  /** Seconds since it was learned; null: always. */
  readonly age: number | null;
  /** Seconds; null: never. */
  readonly expiresIn: number | null;
}

/** Highest first. Of an address only the highest type is shown. */
export function cacheOf(
  state: AgentState,
  endpoints: ReadonlyMap<PublicKey, Endpoint>,
  now: Instant,
): readonly CacheEntry[] {
  const shortcuts = [...state.shortcuts.values()].map((shortcut) => shortcutEntry(state, shortcut, endpoints, now));
  const asked = [...state.resolutions.values()]
    .filter(({ destination }) => !matchShortcut(state, destination))
    .map((resolution) => askedEntry(state, resolution, now));
  return [...localEntries(state), ...hubEntries(state), ...shortcuts, ...asked].sort((a, b) =>
    outranks(a.type, b.type) ? -1 : outranks(b.type, a.type) ? 1 : 0,
  );
}

const always = { age: null, expiresIn: null } as const;

function localEntries(state: AgentState): CacheEntry[] {
  const { config, self } = state;
  if (!config) return [];
  const own = [config.address, ...(config.address6 === undefined ? [] : [config.address6])];
  const common = {
    type: 'local',
    node: self.name,
    endpoint: null,
    interface: multipointName(self),
    ...always,
  } as const;
  const entry = (prefix: Prefix, flags: readonly string[]): CacheEntry => {
    const six = familyOf(prefix) === 6 ? config.address6 : undefined;
    return { ...common, prefix, address: six ?? config.address, flags };
  };
  return [
    ...own.map((address) => entry(hostPrefix(address), ['local', 'unique'])),
    ...[...announcedPrefixes(state.routing)].map((prefix) => entry(prefix, ['local', 'router'])),
  ];
}

function hubEntries(state: AgentState): CacheEntry[] {
  return [...state.hubs.values()].flatMap(({ hub, interface: name }) => {
    const endpoint = hub.endpoints[0] ?? null;
    const flags = [state.activeHub, ...state.sharing].includes(hub.node) ? ['used'] : [];
    const own = [hub.address, ...(hub.address6 === undefined ? [] : [hub.address6])];
    const common = { type: 'nhs', node: hub.name, endpoint, interface: name, flags, ...always } as const;
    return own.map((address) => ({ ...common, prefix: hostPrefix(address), address }));
  });
}

function shortcutEntry(
  state: AgentState,
  shortcut: Shortcut,
  endpoints: ReadonlyMap<PublicKey, Endpoint>,
  now: Instant,
): CacheEntry {
  const remote = state.remotes.get(shortcut.node);
  const target = remote?.target;
  const installed = remote?.phase === 'direct';
  const idle = state.config ? toMilliseconds(state.config.idleTimeout) : 0;
  const flags = [
    shortcut.type === 'dynamic' ? 'authoritative' : 'implicit',
    ...(target?.nat ? ['nat'] : []),
    ...(hostPrefix(shortcut.destination) === shortcut.prefix ? [] : ['router']),
    ...(installed ? ['rib'] : []),
    ...(installed && now - shortcut.usedAt < idle ? ['used'] : []),
  ];
  return {
    prefix: shortcut.prefix,
    type: shortcut.type,
    node: target?.name ?? shortcut.node,
    address: (familyOf(shortcut.destination) === 6 ? target?.address6 : undefined) ?? target?.address ?? null,
    endpoint: (target && endpoints.get(target.publicKey)) ?? null,
    interface: multipointName(state.self),
    flags,
    age: seconds(now - shortcut.createdAt),
    expiresIn: seconds(shortcut.expiresAt - now),
  };
}

function askedEntry(state: AgentState, { destination, nextAt, negativeUntil }: Resolution, now: Instant): CacheEntry {
  const refused = negativeUntil !== undefined;
  return {
    prefix: hostPrefix(destination),
    type: refused ? 'negative' : 'incomplete',
    node: '',
    address: null,
    endpoint: null,
    interface: multipointName(state.self),
    flags: refused ? ['negative'] : [],
    age: null,
    expiresIn: seconds((negativeUntil ?? nextAt) - now),
  };
}

function seconds(milliseconds: number): number {
  return Math.max(0, Math.round(milliseconds / 1000));
}
