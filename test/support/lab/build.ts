import { coreAddress, coreName, type HostPlan, internet, type LabPlan, members, switches, switchName } from './plan.ts';

/** Everything `ip` has to do for a plan, as batches in order: the first for the machine, then one for each namespace. */
export interface Construction {
  readonly namespaces: readonly string[];
  readonly machine: readonly string[];
  readonly inside: ReadonlyMap<string, readonly string[]>;
  /** Those that forward. */
  readonly routers: readonly string[];
}

/** `namespaceOf` names the namespace of a host. */
export function construct(plan: LabPlan, namespaceOf: (host: string) => string): Construction {
  const all = members(plan);
  const names = [coreName, switchName, ...all.keys()];
  const machine: string[] = [];
  const inside = new Map<string, string[]>(names.map((name) => [name, ['link set lo up']]));
  const within = (host: string, ...lines: string[]): void => {
    inside.get(host)?.push(...lines);
  };

  for (const segment of switches(plan)) {
    within(switchName, `link add ${segment} type bridge`, `link set dev ${segment} up`);
  }
  let ports = 0;
  for (const [name, host] of all) {
    for (const [segment, address] of Object.entries(host.attach)) {
      const far = segment === internet ? coreName : switchName;
      ports += 1;
      const port = segment === internet ? name : `p${String(ports)}`;
      machine.push(
        `link add name ${segment} netns ${namespaceOf(name)} type veth peer name ${port} netns ${namespaceOf(far)}`,
      );
      if (segment === internet) {
        within(coreName, `address add ${coreAddress}/32 dev ${port}`, `link set dev ${port} up`);
        within(coreName, `route add ${address}/32 dev ${port}`, ...routesTo(plan, host, address, port));
        within(name, `address add ${address}/32 dev ${segment}`, `link set dev ${segment} up`);
        within(name, `route add ${coreAddress} dev ${segment}`, `route add default via ${coreAddress}`);
      } else {
        within(switchName, `link set dev ${port} master ${segment} up`);
        within(name, `address add ${address} dev ${segment}`, `link set dev ${segment} up`);
      }
    }
    if (host.gateway !== undefined) within(name, `route add default via ${host.gateway}`);
  }
  const routers = [coreName, ...[...all].filter(([, host]) => host.forwards === true).map(([name]) => name)];
  return { namespaces: names, machine, inside, routers };
}

/** What the core routes to a router without NAT: its other segments. */
function routesTo(plan: LabPlan, host: HostPlan, address: string, port: string): string[] {
  const plain = Object.values(plan.nats ?? {}).some((nat) => nat.attach === host.attach && nat.kind === 'none');
  if (!plain) return [];
  return Object.entries(host.attach)
    .filter(([segment]) => segment !== internet)
    .map(([, inner]) => `route add ${networkOf(inner)} via ${address} dev ${port}`);
}

/** "192.168.1.1/24" -> "192.168.1.0/24". IPv4. */
export function networkOf(address: string): string {
  const [host = '', length = '32'] = address.split('/');
  const value = host.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(value / size) * size;
  const parts = [2 ** 24, 2 ** 16, 2 ** 8, 1].map((unit) => String(Math.floor(first / unit) % 256));
  return `${parts.join('.')}/${length}`;
}
