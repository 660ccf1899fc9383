// Laid out as Cisco IOS does. NBMA addresses carry a port here, as they are WireGuard endpoints.
import { type NhrpCounters, type NhrpType, type Tally } from '#proto/model/nhrp-counters.ts';
import { refusals, totalOf, typeTitle } from './counters.ts';
import type { DmvpnPeer } from './dmvpn.ts';
import type { CacheRow, NhsRow } from './rows.ts';
import { formatSpan, printable } from './table.ts';

/** `show ip nhrp` and, of shortcuts, `show ip nhrp shortcut`. */
export function ciscoCache(rows: readonly CacheRow[]): string {
  return rows.map(cacheEntry).join('');
}

function cacheEntry(row: CacheRow): string {
  const created = row.age === null ? '' : ` created ${formatSpan(row.age)},`;
  const expire = row.expiresIn === null ? 'never expire' : `expire ${formatSpan(row.expiresIn)}`;
  return lines(
    row.nextHop === null ? row.prefix : `${row.prefix} via ${row.nextHop}`,
    `   ${row.interface}${created} ${expire}`,
    `   Type: ${row.type}${row.flags.length > 0 ? `, Flags: ${row.flags.join(' ')}` : ''}`,
    ...(row.nextHop === null ? [] : [nbmaLine(row)]),
    ...(row.claimed === null ? [] : [`    (Claimed NBMA address: ${row.claimed})`]),
    ...(row.group === null ? [] : [`   Group: ${row.group}`]),
  );
}

/** What is the node's own has none. */
function nbmaLine({ type, nbma }: CacheRow): string {
  return type === 'local' ? '    (no-socket)' : `   NBMA address: ${nbma ?? 'UNKNOWN'}`;
}

/** UP answers, PROBE is asked, DOWN waits for its turn. */
const nhsFlags: Readonly<Record<string, string>> = { up: 'RE', probe: ' E', down: 'W ' };

/** A registry is outside of the overlay. */
const noAddress = '-';

/** `show ip nhrp nhs` */
export function ciscoNhs(rows: readonly NhsRow[]): string {
  const legend = 'Legend: E=Expecting replies, R=Responding, W=Waiting\n';
  const interfaces = [...new Set(rows.map((row) => row.interface))];
  const width = Math.max(...rows.map(({ address }) => (address ?? noAddress).length), 0);
  const sections = interfaces.map((name) =>
    lines(
      `${name}:`,
      ...rows
        .filter((row) => row.interface === name)
        .map(
          ({ address, state, nbma, priority, cluster }) =>
            `${(address ?? noAddress).padEnd(width)}  ${nhsFlags[state] ?? '  '} NBMA Address: ${nbma ?? 'UNKNOWN'} ` +
            `priority = ${String(priority ?? 0)} cluster = ${String(cluster ?? 0)}`,
        ),
    ),
  );
  return legend + sections.join('');
}

const dmvpnLegend = lines(
  'Legend: Attrb --> S - Static, D - Dynamic, I - Incomplete',
  '        N - NATed, L - Local, X - No Socket',
  '        T1 - Route Installed, T2 - Nexthop-override',
  '        # Ent --> Number of NHRP entries with same NBMA peer',
  '        NHS Status: E --> Expecting Replies, R --> Responding, W --> Waiting',
  '        UpDn Time --> Up or Down Time for a Tunnel',
  '='.repeat(74),
);

/** `show dmvpn` of the registry, which is the hub of Cisco's words. */
export function ciscoDmvpn(peers: readonly DmvpnPeer[], overlay: string): string {
  const width = Math.max(15, ...peers.map(({ nbma }) => (nbma ?? '').length));
  const line = (cells: readonly [string, string, string, string, string, string]): string => {
    const [entries, nbma, tunnel, state, time, attributes] = cells;
    const left = ` ${entries.padStart(5)} ${nbma} ${tunnel.padStart(15)}`;
    return `${left} ${state.padStart(5)} ${time.padStart(8)} ${attributes.padStart(5)}`;
  };
  const rule = (length: number): string => '-'.repeat(length);
  return lines(
    dmvpnLegend.trimEnd(),
    '',
    `Interface: ${overlay}, IPv4 NHRP Details`,
    `Type:Hub, NHRP Peers:${String(peers.length)},`,
    '',
    line(['# Ent', 'Peer NBMA Addr'.padStart(width), 'Peer Tunnel Add', 'State', 'UpDn Tm', 'Attrb']),
    line([rule(5), rule(width), rule(15), rule(5), rule(8), rule(5)]),
    ...peers.map(({ entries, nbma, tunnel, state, upDown, attributes }) =>
      line([
        String(entries),
        (nbma ?? 'UNKNOWN').padEnd(width),
        tunnel,
        state,
        upDown === null ? 'never' : formatSpan(upDown),
        attributes,
      ]),
    ),
  );
}

const trafficLines: readonly (readonly NhrpType[])[] = [
  ['resolution-request', 'resolution-reply', 'registration-request'],
  ['registration-reply', 'purge-request', 'purge-reply'],
  ['error-indication', 'traffic-indication'],
];

/** `show ip nhrp traffic`. Cisco does not say why something was refused; this does, where something was. */
export function ciscoTraffic(name: string, { sent, received }: NhrpCounters): string {
  return lines(`${name}:`, ...direction('Sent', sent), ...direction('Rcvd', received));
}

function direction(title: string, tally: Tally): string[] {
  return [
    `   ${title}: Total ${String(totalOf(tally))}`,
    ...trafficLines.map(
      (types) => `         ${types.map((type) => `${String(tally.messages[type])} ${typeTitle(type)}`).join('  ')}`,
    ),
    ...refusals(tally).map(([what, count]) => `         of these ${String(count)} ${what}`),
  ];
}

function lines(...texts: readonly string[]): string {
  return texts.map((text) => `${text.split('\n').map(printable).join('\n')}\n`).join('');
}
