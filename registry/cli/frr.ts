// Laid out as FRR's vtysh does for nhrpd: fixed columns, or "% No entries".
import { type NhrpCounters, nhrpTypes } from '#proto/model/nhrp-counters.ts';
import { refusals, typeTitle } from './counters.ts';
import type { DmvpnPeer } from './dmvpn.ts';
import type { CacheRow, NhsRow } from './rows.ts';
import { printable } from './table.ts';

const none = '% No entries\n';

/** `show ip nhrp cache`. An address stands alone, a network with its length. */
export function frrCache(rows: readonly CacheRow[]): string {
  if (rows.length === 0) return none;
  return columns(
    [8, 8, 24, 24, 24, 6],
    [
      ['Iface', 'Type', 'Protocol', 'NBMA', 'Claimed NBMA', 'Flags', 'Identity'],
      ...rows.map((row) => [
        row.interface,
        row.type,
        row.prefix.replace(/\/(32|128)$/, ''),
        row.nbma ?? '-',
        row.claimed ?? row.nbma ?? '-',
        (row.flags.includes('used') ? 'U' : ' ') + (row.expiresIn === null ? ' ' : 'T'),
        row.node,
      ]),
    ],
  );
}

/** `show ip nhrp nhs`. Only one that answers has an NBMA address. */
export function frrNhs(rows: readonly NhsRow[]): string {
  if (rows.length === 0) return none;
  return columns(
    [8, 24, 24],
    [
      ['Iface', 'FQDN', 'NBMA', 'Protocol'],
      ...rows.map((row) => [
        row.interface,
        row.node,
        (row.state === 'up' ? row.nbma : null) ?? '-',
        row.address ?? '-',
      ]),
    ],
  );
}

/** `show ip nhrp shortcut` */
export function frrShortcuts(rows: readonly CacheRow[]): string {
  if (rows.length === 0) return none;
  return columns(
    [8, 24, 24],
    [['Type', 'Prefix', 'Via', 'Identity'], ...rows.map((row) => [row.type, row.prefix, row.nextHop ?? '-', row.node])],
  );
}

/** `show dmvpn`. A session with the registry stands for the security association. */
export function frrDmvpn(peers: readonly DmvpnPeer[]): string {
  return columns(
    [24, 24, 6, 4],
    [
      ['Src', 'Dst', 'Flags', 'SAs', 'Identity'],
      ...peers.map(({ nbma, state, node }) => [
        '-',
        nbma ?? '-',
        state === 'UP' ? 'n' : ' ',
        state === 'UP' ? '1' : '0',
        node,
      ]),
    ],
  );
}

/** FRR has no such command; this is in its manner. */
export function frrCounters(name: string, { received, sent }: NhrpCounters): string {
  const [rx, tx] = [new Map(refusals(received)), new Map(refusals(sent))];
  const refused = [...new Set([...rx.keys(), ...tx.keys()])].sort();
  return columns(
    [8, 48, 10],
    [
      ['Iface', 'Message', 'Received', 'Sent'],
      ...nhrpTypes.map((type) => [name, typeTitle(type), String(received.messages[type]), String(sent.messages[type])]),
      ...refused.map((what) => [name, what, String(rx.get(what) ?? 0), String(tx.get(what) ?? 0)]),
    ],
  );
}

/** Columns of at least these widths, the last one open, one space apart. */
function columns(widths: readonly number[], rows: readonly (readonly string[])[]): string {
  return rows
    .map((cells) => cells.map((cell, index) => printable(cell).padEnd(widths[index] ?? 0)).join(' '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}
