// What uplinks ask of the host: the packets of a tunnel have the mark of its uplink, whose table has the routes by the uplink's own
// interface and no others. Without one the packets go nowhere, so that a probe says nothing of another uplink.
import { familyOf, hostPrefix, lengthOf, type Prefix } from '#proto/model/address.ts';
import type { Family } from '#proto/model/address.ts';
import { endpointAddress } from '#proto/model/endpoint.ts';
import { linkAddress } from '#proto/model/key.ts';
import { mainTable } from '#proto/model/routing.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import { type GatewayRoute, type MarkedSource, policyNumber, type RouteState, type RuleState, ruleOf } from './host.ts';
import { hubMetric } from './install.ts';
import { type AgentState, multipointName, type OwnInterface } from './state.ts';
import { uplinkNumber, uplinkOf } from './uplinks.ts';

export interface UplinkHost {
  readonly gateways: readonly GatewayRoute[];
  /** By probes. */
  readonly routes: readonly RouteState[];
  readonly rules: readonly RuleState[];
  readonly sources: readonly MarkedSource[];
  readonly sysctls: readonly [string, string][];
}

/** Of the packets that WireGuard itself sends by this interface; 0: none. */
export function markOf(state: AgentState, own: OwnInterface): number {
  const uplink = uplinkOf(state, own);
  if (uplink !== undefined) return uplinkNumber(state.self, uplink);
  return state.self.exit ? policyNumber(state.self.interfacePrefix) : 0;
}

export function uplinkHost(state: AgentState, config: OverlayConfig): UplinkHost {
  const { self, uplinks } = state;
  const first = policyNumber(self.interfacePrefix);
  const numbers = self.uplinks.map(({ name }) => uplinkNumber(self, name));
  const sights = [...(uplinks.sights ?? [])];
  const probes = [...state.interfaces.values()].filter(({ kind }) => kind === 'probe');
  const families: Family[] = sights.some(([, { routes }]) => routes.some(({ prefix }) => familyOf(prefix) === 6))
    ? [4, 6]
    : [4];
  const marked = families.flatMap((family) =>
    numbers.flatMap((mark) => [
      ruleOf({ family, priority: first, mark, table: mark }),
      ruleOf({ family, priority: first + 1, mark, table: 'unreachable' }),
    ]),
  );
  const probing = probes.flatMap((own) => probeHost(state, config, own));
  return {
    gateways: sights.flatMap(([name, { device, routes }]) =>
      routes.map((route) => ({ ...route, interface: device, table: uplinkNumber(self, name) })),
    ),
    routes: probing.map(({ route }) => route),
    rules: [...marked, ...probing.map(({ rule }) => rule), ...registryRules(state, first + 2)],
    sources: sights.flatMap(([name, { addresses }]) =>
      addresses.map((address) => ({ mark: uplinkNumber(self, name), address })),
    ),
    // A strict rp_filter drops what comes back by another uplink than the main table's best.
    sysctls: sights.map(([, { device }]) => [`net.ipv4.conf.${device.replaceAll('.', '/')}.rp_filter`, '2']),
  };
}

/** Hubs have one link address: by which probe a packet to it leaves is a matter of where it comes from. */
function probeHost(
  { self }: AgentState,
  config: OverlayConfig,
  own: OwnInterface,
): { readonly route: RouteState; readonly rule: RuleState }[] {
  if (own.publicKey === undefined || own.uplink === undefined) return [];
  const table = uplinkNumber(self, own.uplink);
  const address = linkAddress(config.linkPrefix, own.publicKey);
  const { linkPrefix: prefix } = config;
  return [
    {
      route: { prefix, interfaces: [own.name], source: undefined, metric: hubMetric, table },
      rule: ruleOf({
        family: 6,
        priority: policyNumber(self.interfacePrefix),
        source: hostPrefix(address),
        table,
      }),
    },
  ];
}

/** Registries are reached by the uplink of the multipoint interface, unless the host has a nearer way than its default route. */
function registryRules(state: AgentState, priority: number): RuleState[] {
  const place = state.uplinks.places.get(multipointName(state.self));
  const sight = place && state.uplinks.sights?.get(place.uplink);
  if (!place || !sight) return [];
  const table = uplinkNumber(state.self, place.uplink);
  const known = new Set(state.routing.registries.map((endpoint) => hostPrefix(endpointAddress(endpoint))));
  const reached = (prefix: Prefix): boolean =>
    sight.routes.some((route) => lengthOf(route.prefix) === 0 && familyOf(route.prefix) === familyOf(prefix));
  return [...known].filter(reached).flatMap((to) => {
    const family = familyOf(to);
    return [
      ruleOf({ family, priority, to, table: mainTable, noDefault: true }),
      ruleOf({ family, priority: priority + 1, to, table }),
    ];
  });
}
