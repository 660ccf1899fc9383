// The uplinks of the host: which interface each is, and what the main table routes by it.
import { type Address, familyOf, lengthOf, parseAddress, type Prefix } from '#proto/model/address.ts';
import type { UplinkConfig } from '#proto/model/uplink.ts';
import { routeProtocol } from '#agent/decide/host.ts';
import type { UplinkRoute, UplinkSight } from '#agent/decide/uplink-state.ts';
import { ExecError, type Run } from '#agent/io/host-port.ts';
import { count, type JsonObject, objects, parseObjects, text } from './json.ts';
import { prefixOf, wayOf } from './routes.ts';

const everything = { 4: '0.0.0.0/0' as Prefix, 6: '::/0' as Prefix } as const;

/** By name; without those whose interface is not there. */
export async function observeUplinks(run: Run, uplinks: readonly UplinkConfig[]): Promise<Map<string, UplinkSight>> {
  const sights = new Map<string, UplinkSight>();
  if (uplinks.length === 0) return sights;
  const links = (await run('ip', ['-j', 'addr', 'show'])).stdout;
  await Promise.all(
    uplinks.map(async (uplink) => {
      const device = deviceOf(links, uplink);
      if (!device) return;
      const show = (family: 4 | 6): string[] => ['-N', '-j', `-${String(family)}`, 'route', 'show', 'table', 'main'];
      // Of a default route by several interfaces the kernel tells none when asked for one of them.
      const [four, six, shared] = await Promise.all([
        routesOf(run, [...show(4), 'dev', device.name]),
        routesOf(run, [...show(6), 'dev', device.name]),
        routesOf(run, [...show(4), 'exact', everything[4]]),
      ]);
      sights.set(uplink.name, sightOf(uplink, device, { four, six, shared }));
    }),
  );
  // In the order of the configuration, whichever was read first.
  return new Map(uplinks.flatMap(({ name }) => (sights.has(name) ? [[name, sights.get(name) as UplinkSight]] : [])));
}

interface Device {
  readonly name: string;
  readonly addresses: readonly Address[];
}

/** `json`: of `ip -j addr show`. */
function deviceOf(json: string, { interface: name, source }: UplinkConfig): Device | undefined {
  for (const link of parseObjects(json)) {
    const addresses = objects(link['addr_info'])
      .filter((entry) => entry['scope'] === 'global' && entry['temporary'] !== true && entry['deprecated'] !== true)
      .flatMap((entry) => {
        const address = parseAddress(text(entry['local']));
        return address.ok ? [address.value] : [];
      });
    const device = text(link['ifname']);
    if (name === undefined ? source !== undefined && addresses.includes(source) : device === name) {
      return { name: device, addresses };
    }
  }
  return undefined;
}

async function routesOf(run: Run, words: readonly string[]): Promise<string> {
  try {
    return (await run('ip', words)).stdout;
  } catch (error) {
    // The interface went meanwhile.
    if (error instanceof ExecError && /Cannot find device|does not exist/.test(error.stderr)) return '';
    throw error;
  }
}

interface Tables {
  readonly four: string;
  readonly six: string;
  /** Default routes of IPv4, of all interfaces. */
  readonly shared: string;
}

/** All of `tables` is JSON of `ip -N -j route show`. */
export function sightOf(uplink: UplinkConfig, { name, addresses }: Device, tables: Tables): UplinkSight {
  const found = new Map<Prefix, UplinkRoute & { readonly metric: number }>();
  const read = (entry: JsonObject, family: 4 | 6, way: JsonObject = entry): void => {
    const prefix = prefixOf(entry, everything[family]);
    if (!prefix || isForeign(entry) || isDown(way) || prefix.startsWith('fe80:') || prefix.startsWith('ff')) return;
    const metric = count(entry['metric']);
    const known = found.get(prefix);
    if (known && known.metric <= metric) return;
    const { via, onlink, source } = wayOf({ ...entry, ...way });
    found.set(prefix, { prefix, via, onlink, source: sourceOf(uplink, family, source), metric });
  };
  for (const entry of parseObjects(tables.four)) read(entry, 4);
  for (const entry of parseObjects(tables.six)) read(entry, 6);
  for (const entry of parseObjects(tables.shared)) {
    for (const way of objects(entry['nexthops'])) if (text(way['dev']) === name) read(entry, 4, way);
  }
  const { gateway } = uplink;
  if (gateway) {
    const family = familyOf(gateway);
    const prefix = everything[family];
    const source = sourceOf(uplink, family, undefined);
    found.set(prefix, { prefix, via: gateway, onlink: false, source, metric: 0 });
  }
  const routes = [...found.values()]
    .map(({ prefix, via, onlink, source }): UplinkRoute => ({ prefix, via, onlink, source }))
    .sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
  return { device: name, addresses: claimable(addresses, routes), routes };
}

/** The address of each family by which there is a way: the configured one, the route's, the first of the interface. */
function claimable(addresses: readonly Address[], routes: readonly UplinkRoute[]): Address[] {
  return routes
    .filter(({ prefix }) => lengthOf(prefix) === 0)
    .flatMap(({ prefix, source }) => {
      const family = familyOf(prefix);
      return source ?? addresses.find((address) => familyOf(address) === family) ?? [];
    });
}

function sourceOf({ source }: UplinkConfig, family: 4 | 6, known: Address | undefined): Address | undefined {
  return source && familyOf(source) === family ? source : known;
}

/** Ours, or something else than unicast, which has a type. */
function isForeign(entry: JsonObject): boolean {
  return 'type' in entry || Number(text(entry['protocol'])) === routeProtocol;
}

function isDown(way: JsonObject): boolean {
  const flags = Array.isArray(way['flags']) ? way['flags'] : [];
  return flags.includes('linkdown') || flags.includes('dead');
}
