import { parseAddress, parsePrefix } from '#proto/model/address.ts';
import { isOwnInterface, type RouteState, routeKey, routeProtocol } from '#agent/decide/host.ts';
import { mainTable } from '#proto/model/routing.ts';
import type { Run } from '#agent/io/host-port.ts';
import { count, type JsonObject, objects, parseObjects, text } from './json.ts';

/** Our routes by routeKey: those of any table that have our protocol number and leave by an interface of ours. */
export async function observeRoutes(run: Run, interfacePrefix: string): Promise<Map<string, RouteState>> {
  const show = ['-N', '-j', 'route', 'show', 'table', 'all', 'proto', String(routeProtocol)];
  const [four, six] = await Promise.all([run('ip', ['-4', ...show]), run('ip', ['-6', ...show])]);
  return parseRoutes(four.stdout, six.stdout, interfacePrefix);
}

/** `four` and `six`: JSON of `ip -4` and `ip -6 route show`. */
export function parseRoutes(four: string, six: string, interfacePrefix: string): Map<string, RouteState> {
  const routes = new Map<string, RouteState>();
  const read = (entry: JsonObject, everything: string): void => {
    const destination = text(entry['dst']);
    const prefix = parsePrefix(destination === 'default' ? everything : destination);
    const ways = 'dev' in entry ? [entry] : objects(entry['nexthops']).filter((way) => !isDead(way));
    const interfaces = ways.map((way) => text(way['dev'])).sort();
    if (!prefix.ok || interfaces.length === 0) return;
    if (!interfaces.every((name) => isOwnInterface(interfacePrefix, name))) return;
    const source = parseAddress(text(entry['prefsrc']));
    const route: RouteState = {
      prefix: prefix.value,
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
