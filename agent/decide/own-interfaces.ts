// Which WireGuard interfaces a node has: the multipoint interface, and one tunnel a hub, on a hub one for each other hub; on a spoke a
// probe for each of several uplinks.
import type { NodeId } from '#proto/model/names.ts';
import type { OverlayConfig } from '#proto/model/session.ts';
import type { Turn } from './event.ts';
import { type AgentState, multipointName, type OwnInterface } from './state.ts';
import { isProbed } from './uplinks.ts';

/** Interfaces for this overlay; a hub keeps its tunnel's name for as long as it is a hub. Asks for the keys that are missing. */
export function ownInterfaces(state: AgentState, config: OverlayConfig, turn: Turn): ReadonlyMap<string, OwnInterface> {
  const { self } = state;
  const next = new Map<string, OwnInterface>();
  const multipoint = multipointName(self);
  const known = state.interfaces.get(multipoint);
  next.set(multipoint, {
    name: multipoint,
    kind: 'multipoint',
    hub: undefined,
    uplink: undefined,
    // The configured port, if there is one, also when another was used before.
    listenPort: self.listenPort ?? known?.listenPort ?? randomPort(turn),
    publicKey: known?.publicKey,
  });
  for (const hub of config.hubs) {
    const existing = tunnelTo(state.interfaces, hub.node);
    const name = existing?.name ?? freeName(state, next);
    next.set(
      name,
      existing ?? {
        name,
        kind: 'hub-tunnel',
        hub: hub.node,
        uplink: undefined,
        listenPort: randomPort(turn),
        publicKey: undefined,
      },
    );
  }
  if (isProbed(self)) {
    self.uplinks.forEach(({ name: uplink }, index) => {
      const name = `${self.interfacePrefix}-u${String(index + 1)}`;
      const existing = state.interfaces.get(name);
      const { listenPort, publicKey } = existing ?? { listenPort: randomPort(turn), publicKey: undefined };
      next.set(name, { name, kind: 'probe', hub: undefined, uplink, listenPort, publicKey });
    });
  }
  for (const own of next.values()) {
    if (own.publicKey === undefined) turn.effects.push({ kind: 'make-key', interface: own.name });
  }
  return next;
}

export function tunnelTo(interfaces: ReadonlyMap<string, OwnInterface>, hub: NodeId): OwnInterface | undefined {
  for (const own of interfaces.values()) {
    if (own.hub === hub) return own;
  }
  return undefined;
}

/**
 * Below Linux's ephemeral ports, so that no other program is given it by chance. Random, so that two spokes behind one NAT
 * keep different ports, and the NAT has no reason to change either.
 */
export function randomPort(turn: Turn): number {
  return 20_000 + Math.floor(turn.random() * 12_000);
}

function freeName(state: AgentState, taken: ReadonlyMap<string, OwnInterface>): string {
  for (let index = 1; ; index += 1) {
    const name = `${state.self.interfacePrefix}-h${String(index)}`;
    if (!taken.has(name) && !state.interfaces.has(name)) return name;
  }
}
