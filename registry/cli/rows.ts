// What routers show of NHRP, as values: the formatters for Cisco's and FRR's layouts start here.
import type { AgentView } from './agent-view.ts';
import type { BindingView, NodeView } from './views.ts';

/** An entry of an NHRP cache. */
export interface CacheRow {
  readonly prefix: string;
  /** Null while it is not known. */
  readonly nextHop: string | null;
  readonly interface: string;
  /** Seconds since it was learned; null if that is not known. */
  readonly age: number | null;
  /** Seconds; null: never. */
  readonly expiresIn: number | null;
  readonly type: string;
  readonly flags: readonly string[];
  readonly nbma: string | null;
  /** Where a node behind NAT says it is. */
  readonly claimed: string | null;
  readonly group: string | null;
  readonly node: string;
}

/** A next-hop server as a node sees it: a hub, or a registry, to which no tunnel leads. */
export interface NhsRow {
  readonly kind: 'hub' | 'registry';
  /** Of a hub its name, of a registry where it is. */
  readonly node: string;
  /** Of a registry "registry". */
  readonly interface: string;
  /** In the overlay; null of a registry. */
  readonly address: string | null;
  readonly nbma: string | null;
  readonly state: string;
  readonly active: boolean;
  /** 0 best, 255 worst; null of a registry that no other one names. */
  readonly priority: number | null;
  readonly cluster: number | null;
  /** Seconds since it came up or went down. */
  readonly age: number | null;
}

/** In the order in which Cisco names them. */
const flagOrder = 'authoritative implicit local unique nat negative registered router rib used'.split(' ');

/** The bindings as the NHRP cache of the registry. `now` is in milliseconds since 1970. */
export function cacheRows(
  bindings: readonly BindingView[],
  nodes: readonly NodeView[],
  overlay: string,
  now: number,
): CacheRow[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  return bindings.map((binding) => {
    const node = byName.get(binding.node);
    const six = binding.prefix.includes(':');
    const claimed = node?.nat ? node.endpoints.find(({ kind }) => kind === 'claimed')?.address : undefined;
    return {
      prefix: binding.prefix,
      nextHop: (six ? node?.address6 : undefined) ?? binding.address,
      interface: overlay,
      age: binding.created === null ? null : Math.max(0, Math.round((now - Date.parse(binding.created)) / 1000)),
      expiresIn: binding.type === 'static' ? null : binding.expiresIn,
      type: binding.type,
      // All that the registry has was registered.
      flags: sortedFlags(['authoritative', ...binding.flags, ...(isOwn(binding.prefix, node) ? [] : ['router'])]),
      nbma: binding.nbma,
      claimed: claimed === undefined || claimed === binding.nbma ? null : claimed,
      group: node && node.tags.length > 0 ? node.tags.join(',') : null,
      node: binding.node,
    };
  });
}

/** The node's own address; else it is a router to what is behind it. */
function isOwn(prefix: string, node: NodeView | undefined): boolean {
  return prefix === `${node?.address ?? ''}/32` || prefix === `${node?.address6 ?? ''}/128`;
}

/** The shortcuts of a node: cached bindings whose route is installed. */
export function shortcutRows(status: AgentView): CacheRow[] {
  return status.shortcuts.map((shortcut) => {
    const peer = status.peers.find(({ node }) => node === shortcut.node);
    const host = /\/(32|128)$/.test(shortcut.prefix);
    return {
      prefix: shortcut.prefix,
      nextHop: shortcut.address ?? peer?.address ?? shortcut.node,
      interface: shortcut.interface ?? '',
      age: shortcut.age ?? null,
      expiresIn: shortcut.expiresIn ?? null,
      type: 'dynamic',
      flags: sortedFlags([...(shortcut.nat ? ['nat'] : []), ...(host ? [] : ['router']), 'rib']),
      nbma: shortcut.endpoint ?? peer?.endpoint ?? null,
      claimed: null,
      group: null,
      node: shortcut.node,
    };
  });
}

/** The whole cache of a node: its own, its hubs, what it was told and what it asks for. */
export function agentCacheRows(status: AgentView): CacheRow[] {
  return (status.cache ?? []).map((entry) => ({
    prefix: entry.prefix,
    nextHop: entry.address ?? null,
    interface: entry.interface,
    age: entry.age ?? null,
    expiresIn: entry.expiresIn ?? null,
    type: entry.type,
    flags: sortedFlags(entry.flags),
    nbma: entry.endpoint ?? null,
    claimed: null,
    group: null,
    node: entry.node,
  }));
}

/** Hubs by interface, as routers list them, then registries as they are tried. */
export function nhsRows(status: AgentView): NhsRow[] {
  return [...hubRows(status), ...registryRows(status)];
}

function registryRows({ registry }: AgentView): NhsRow[] {
  return (registry.servers ?? []).map(({ address, state, priority, cluster, age }) => ({
    kind: 'registry',
    node: address,
    interface: 'registry',
    address: null,
    nbma: address,
    state,
    active: state === 'up',
    priority: priority ?? null,
    cluster: cluster ?? null,
    age: age ?? null,
  }));
}

function hubRows(status: AgentView): NhsRow[] {
  return status.hubs
    .map((hub) => ({
      kind: 'hub' as const,
      node: hub.node,
      interface: hub.interface ?? '',
      address: hub.address,
      nbma: hub.endpoint ?? null,
      state: hub.state,
      active: hub.active,
      priority: hub.priority,
      cluster: hub.cluster ?? 0,
      age: hub.age ?? null,
    }))
    .sort((a, b) => (a.interface === b.interface ? a.priority - b.priority : a.interface < b.interface ? -1 : 1));
}

function sortedFlags(flags: readonly string[]): string[] {
  const place = (flag: string): number => {
    const index = flagOrder.indexOf(flag);
    return index === -1 ? flagOrder.length : index;
  };
  return [...new Set(flags)].sort((a, b) => place(a) - place(b));
}
