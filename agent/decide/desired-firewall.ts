// The nftables table of the desired host: a part of the projection of desired.ts.
import { containsPrefix, type Prefix } from '#proto/model/address.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import { seconds } from '#proto/model/time.ts';
import type { FirewallState } from './host.ts';
import { type AgentState, isWithoutHub, multipointName } from './state.ts';

/** While a pair's traffic goes on through the hub it is indicated again after this time. */
const indicateAgain = seconds(3);

/** Whether this node notices first packets: a hub in phase 3; a spoke in phase 2, and in phase 3 while no hub does it. */
export function notices(state: AgentState): boolean {
  const { config, self } = state;
  if (!config || state.revoked !== undefined) return false;
  if (self.role === 'hub') return config.phase === 3;
  return config.phase === 2 || (config.phase === 3 && isWithoutHub(state));
}

export function desiredFirewall(
  state: AgentState,
  config: OverlayConfig,
  tunnels: readonly string[],
): Omit<FirewallState, 'killSwitch' | 'sources'> {
  const multipoint = multipointName(state.self);
  const isHub = state.self.role === 'hub';
  const hubTunnels = tunnels.filter((name) => state.interfaces.get(name)?.kind === 'hub-tunnel');
  return {
    indicate: isHub && config.phase === 3 ? tunnels : [],
    apart: isHub ? hubTunnels : [],
    notice: !isHub && notices(state) ? hubTunnels : [],
    nflogGroup: state.self.nflogGroup,
    indicateAgain,
    account: isHub ? [] : [multipoint],
    idleTimeout: config.idleTimeout,
    linkPrefix: config.linkPrefix,
    tunnels,
    reachable: outermost(config.prefixes),
    tracked: !isHub || state.self.routing.masquerade.length > 0,
    masquerade: state.self.routing.masquerade,
  };
}

/** Without those that are inside another. */
function outermost(prefixes: readonly Prefix[]): Prefix[] {
  const inside = (prefix: Prefix): boolean =>
    prefixes.some((other) => other !== prefix && containsPrefix(other, prefix));
  return prefixes.filter((prefix) => !inside(prefix));
}
