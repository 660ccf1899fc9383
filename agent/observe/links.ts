import { parsePrefix, type Prefix } from '#proto/model/address.ts';
import { isOwnInterface } from '#agent/decide/host.ts';
import type { Run } from '#agent/io/host-port.ts';
import { count, isObject, type JsonObject, objects, parseObjects, text } from './json.ts';

export interface LinkState {
  readonly name: string;
  /** Octets. */
  readonly mtu: number;
  readonly up: boolean;
  readonly addresses: ReadonlySet<Prefix>;
}

/** Our interfaces as links. An interface that has our name but is no WireGuard tunnel is someone else's. */
export async function observeLinks(run: Run, interfacePrefix: string): Promise<Map<string, LinkState>> {
  return parseLinks((await run('ip', ['-j', '-d', 'addr', 'show'])).stdout, interfacePrefix);
}

/** `json`: of `ip -j -d addr show`. */
export function parseLinks(json: string, interfacePrefix: string): Map<string, LinkState> {
  const links = new Map<string, LinkState>();
  for (const link of parseObjects(json)) {
    const name = text(link['ifname']);
    if (!isOwnInterface(interfacePrefix, name) || !isTunnel(link)) continue;
    const up = Array.isArray(link['flags']) && link['flags'].includes('UP');
    links.set(name, { name, mtu: count(link['mtu']), up, addresses: addressesOf(link) });
  }
  return links;
}

/** wireguard-go makes a TUN device. */
function isTunnel(link: JsonObject): boolean {
  const info = link['linkinfo'];
  return isObject(info) && (info['info_kind'] === 'wireguard' || info['info_kind'] === 'tun');
}

/** Without the kernel's own fe80::, and without those with host bits: dmwg sets none. */
function addressesOf(link: JsonObject): Set<Prefix> {
  const addresses = new Set<Prefix>();
  for (const entry of objects(link['addr_info'])) {
    if (entry['family'] === 'inet6' && entry['scope'] === 'link') continue;
    const address = parsePrefix(`${text(entry['local'])}/${String(count(entry['prefixlen']))}`);
    if (address.ok) addresses.add(address.value);
  }
  return addresses;
}
