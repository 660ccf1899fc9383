import { formatSpan, formatTable } from './table.ts';
import type { BindingView, NodeView } from './views.ts';

/** A line of Cisco's `show dmvpn`, as the registry (the next-hop server) sees its clients. */
export interface DmvpnPeer {
  /** Entries with this NBMA address. */
  readonly entries: number;
  readonly nbma: string | null;
  readonly tunnel: string;
  readonly node: string;
  readonly role: string;
  /** UP: its session is open. NHRP: registered, waiting for its session. DOWN: not registered. */
  readonly state: 'UP' | 'NHRP' | 'DOWN';
  /** Seconds since it registered; null if it never did. */
  readonly upDown: number | null;
  /** D dynamic, S static (its endpoint is configured), N behind NAT, I incomplete. */
  readonly attributes: string;
}

/** `now` is in milliseconds since 1970. */
export function dmvpnPeers(nodes: readonly NodeView[], bindings: readonly BindingView[], now: number): DmvpnPeer[] {
  return nodes.map((node) => {
    const nbma = nodeNbma(node);
    const own = bindings.filter((binding) => binding.node === node.name || binding.node === node.id);
    return {
      entries: own.length,
      nbma,
      tunnel: node.address,
      node: node.name,
      role: node.role,
      state: node.connected ? 'UP' : node.registered ? 'NHRP' : 'DOWN',
      upDown: node.registeredAt === null ? null : Math.max(0, Math.round((now - Date.parse(node.registeredAt)) / 1000)),
      attributes: attributes(node),
    };
  });
}

/** Where its packets come from, else where it says it is. */
function nodeNbma(node: NodeView): string | null {
  const observed = node.endpoints.find(({ kind }) => kind === 'observed');
  return (observed ?? node.endpoints[0])?.address ?? null;
}

function attributes(node: NodeView): string {
  const base = node.registered ? (node.role === 'hub' ? 'S' : 'D') : 'I';
  return node.nat ? `${base}N` : base;
}

const legend = `Legend: Attrb --> S - Static, D - Dynamic, I - Incomplete, N - NATed
        # Ent --> Number of NHRP entries of the peer
        UpDn Time --> Time since the peer registered

`;

export function dmvpnTable(peers: readonly DmvpnPeer[]): string {
  const table = formatTable<DmvpnPeer>(
    [
      { title: '# Ent', text: ({ entries }) => String(entries), right: true },
      { title: 'Peer NBMA Addr', text: ({ nbma }) => nbma ?? 'UNKNOWN' },
      { title: 'Peer Tunnel Add', text: ({ tunnel }) => tunnel },
      { title: 'State', text: ({ state }) => state, right: true },
      { title: 'UpDn Tm', text: ({ upDown }) => (upDown === null ? 'never' : formatSpan(upDown)), right: true },
      { title: 'Attrb', text: (peer) => peer.attributes },
      { title: 'Node', text: ({ node, role }) => (role === 'hub' ? `${node} (hub)` : node) },
    ],
    peers,
  );
  return legend + table;
}
