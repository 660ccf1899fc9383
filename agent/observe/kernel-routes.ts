import { type Family, parsePrefix } from '#proto/model/address.ts';
import type { KernelRoute, RouteSelector } from '#agent/decide/kernel-routes.ts';
import { isOwnInterface, routeProtocol } from '#agent/decide/host.ts';
import { ExecError, type Run } from '#agent/io/host-port.ts';
import { count, type JsonObject, objects, parseObjects, text } from './json.ts';

/** Routes of others that work: unicast, by an interface with a carrier that is not ours. */
export async function observeKernelRoutes(
  run: Run,
  interfacePrefix: string,
  selectors: readonly RouteSelector[],
): Promise<KernelRoute[]> {
  const looks = selectors.flatMap((selector) =>
    ([4, 6] as const).map(async (family) =>
      parseKernelRoutes(await show(run, family, selector), { ...selector, family, interfacePrefix }),
    ),
  );
  return (await Promise.all(looks)).flat();
}

async function show(run: Run, family: Family, { table, protocol }: RouteSelector): Promise<string> {
  const by = protocol === undefined ? [] : ['proto', String(protocol)];
  try {
    const words = ['-N', '-j', `-${String(family)}`, 'route', 'show', 'table', String(table), ...by];
    return (await run('ip', words)).stdout;
  } catch (error) {
    // A table without routes is none to the kernel.
    if (error instanceof ExecError && error.stderr.includes('table does not exist')) return '';
    throw error;
  }
}

interface Asked extends RouteSelector {
  readonly family: Family;
  readonly interfacePrefix: string;
}

/** `json`: of `ip -N -j route show`, which leaves out what it was asked for. */
export function parseKernelRoutes(json: string, asked: Asked): KernelRoute[] {
  const found: KernelRoute[] = [];
  for (const entry of parseObjects(json)) {
    const protocol = asked.protocol ?? Number(text(entry['protocol']));
    const destination = text(entry['dst']);
    const prefix = parsePrefix(destination === 'default' ? everything[asked.family] : destination);
    // Something else than unicast has a type.
    if (!prefix.ok || prefix.value.startsWith('fe80:') || 'type' in entry || protocol === routeProtocol) continue;
    const ways = [entry, ...objects(entry['nexthops'])].filter((way) => text(way['dev']) !== '');
    if (ways.some((way) => isOwnInterface(asked.interfacePrefix, text(way['dev'])))) continue;
    const interfaces = [...new Set(ways.filter(works).map((way) => text(way['dev'])))];
    if (interfaces.length === 0) continue;
    found.push({ prefix: prefix.value, protocol, table: asked.table, interfaces, metric: count(entry['metric']) });
  }
  return found;
}

const everything = { 4: '0.0.0.0/0', 6: '::/0' } as const;

function works(way: JsonObject): boolean {
  const flags = Array.isArray(way['flags']) ? way['flags'] : [];
  return !flags.includes('linkdown') && !flags.includes('dead');
}
