import { parseAddress, parsePrefix, type Prefix } from '#proto/model/address.ts';
import {
  gatewayKey,
  type GatewayRoute,
  type HostState,
  isOwnInterface,
  isUplinkTable,
  type RouteState,
  routeKey,
  routeProtocol,
} from '#agent/decide/host.ts';
import { mainTable } from '#proto/model/routing.ts';
import type { Run } from '#agent/io/host-port.ts';
import { count, type JsonObject, objects, parseObjects, text } from './json.ts';

/**
 * Our routes: those of any table that have our protocol number and leave by an interface of ours; and those in the tables of our
 * uplinks, by interfaces of the host.
 */
export async function observeRoutes(
  run: Run,
  interfacePrefix: string,
): Promise<Pick<HostState, 'routes' | 'gateways'>> {
  const show = ['-N', '-j', 'route', 'show', 'table', 'all', 'proto', String(routeProtocol)];
  const [four, six] = await Promise.all([run('ip', ['-4', ...show]), run('ip', ['-6', ...show])]);
  return {
    routes: parseRoutes(four.stdout, six.stdout, interfacePrefix),
    gateways: parseGateways(four.stdout, six.stdout, interfacePrefix),
  };
}

/** The same of routes by interfaces of the host in the tables of our uplinks, by gatewayKey. */
export function parseGateways(four: string, six: string, interfacePrefix: string): Map<string, GatewayRoute> {
  const gateways = new Map<string, GatewayRoute>();
  const read = (entry: JsonObject, everything: string): void => {
    const table = 'table' in entry ? Number(text(entry['table'])) : mainTable;
    const name = text(entry['dev']);
    if (!isUplinkTable(interfacePrefix, table) || name === '' || isOwnInterface(interfacePrefix, name)) return;
    const prefix = prefixOf(entry, everything);
    if (!prefix) return;
    const route = { prefix, interface: name, ...wayOf(entry), table };
    gateways.set(gatewayKey(route), route);
  };
  for (const entry of parseObjects(four)) read(entry, '0.0.0.0/0');
  for (const entry of parseObjects(six)) read(entry, '::/0');
  return gateways;
}

/** Where a route's `ip -j` entry leads. */
export function prefixOf(entry: JsonObject, everything: string): Prefix | undefined {
  const destination = text(entry['dst']);
  const prefix = parsePrefix(destination === 'default' ? everything : destination);
  return prefix.ok ? prefix.value : undefined;
}

/** How: by which gateway, and from which address. */
export function wayOf(entry: JsonObject): Pick<GatewayRoute, 'via' | 'onlink' | 'source'> {
  const [via, source] = [parseAddress(text(entry['gateway'])), parseAddress(text(entry['prefsrc']))];
  const flags = Array.isArray(entry['flags']) ? entry['flags'] : [];
  return {
    via: via.ok ? via.value : undefined,
    onlink: flags.includes('onlink'),
    source: source.ok ? source.value : undefined,
  };
}

/** `four` and `six`: JSON of `ip -4` and `ip -6 route show`. */
export function parseRoutes(four: string, six: string, interfacePrefix: string): Map<string, RouteState> {
  const routes = new Map<string, RouteState>();
  const read = (entry: JsonObject, everything: string): void => {
    const prefix = prefixOf(entry, everything);
    const ways = 'dev' in entry ? [entry] : objects(entry['nexthops']).filter((way) => !isDead(way));
    const interfaces = ways.map((way) => text(way['dev'])).sort();
    if (!prefix || interfaces.length === 0) return;
    if (!interfaces.every((name) => isOwnInterface(interfacePrefix, name))) return;
    const source = parseAddress(text(entry['prefsrc']));
    const route: RouteState = {
      prefix,
      interfaces,
      source: source.ok ? source.value : undefined,
      metric: count(entry['metric']),
      table: 'table' in entry ? Number(text(entry['table'])) : mainTable,
    };
    routes.set(routeKey(route), route);
  };
  for (const entry of parseObjects(four)) read(entry, '0.0.0.0/0');
  for (const entry of parseObjects(six)) read(entry, '::/0');
  return routes;
}

function isDead(way: JsonObject): boolean {
  return Array.isArray(way['flags']) && way['flags'].includes('dead');
}
