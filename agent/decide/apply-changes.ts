// The meaning of every change, as a function of values: the core folds what was done into its picture by it, tests prove
// the diff by it. The kernel's side effects are part of it: an interface takes its routes with it, and an allowed prefix
// that one peer gets is taken from the peer that had it.
import type { Prefix } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { Change } from './change.ts';
import {
  type GatewayRoute,
  gatewayKey,
  type HostState,
  type PeerState,
  type RouteState,
  routeKey,
  routeSlot,
  type RuleState,
  ruleKey,
  type TunnelState,
} from './host.ts';

export function applyChange(state: HostState, change: Change): HostState {
  return applyChanges(state, [change]);
}

export function applyChanges(state: HostState, changes: readonly Change[]): HostState {
  const draft = new Draft(state);
  for (const change of changes) draft.apply(change);
  return draft.state();
}

/** A tunnel being changed. */
interface TunnelDraft {
  tunnel: TunnelState;
  readonly addresses: Set<Prefix>;
  readonly peers: Map<PublicKey, PeerState>;
  /** Which peer has an allowed prefix. */
  readonly owners: Map<Prefix, PublicKey>;
}

/** A host state being changed: copied once, however many changes there are; what they do not touch stays shared. */
class Draft {
  readonly #base: HostState;
  readonly #interfaces: Map<string, TunnelState>;
  readonly #touched = new Map<string, TunnelDraft>();
  /** By slot, made of the base's routes when the first one changes. */
  #routes: Map<string, RouteState> | undefined;
  readonly #gateways: Map<string, GatewayRoute>;
  readonly #rules: Map<string, RuleState>;
  #firewall: HostState['firewall'];
  readonly #sysctls: Map<string, string>;

  constructor(base: HostState) {
    this.#base = base;
    this.#interfaces = new Map(base.interfaces);
    this.#gateways = new Map(base.gateways);
    this.#rules = new Map(base.rules);
    this.#firewall = base.firewall;
    this.#sysctls = new Map(base.sysctls);
  }

  state(): HostState {
    for (const [name, { tunnel, addresses, peers }] of this.#touched) {
      this.#interfaces.set(name, { ...tunnel, addresses, peers });
    }
    return {
      interfaces: this.#interfaces,
      routes: this.#routes
        ? new Map([...this.#routes.values()].map((route) => [routeKey(route), route] as const))
        : this.#base.routes,
      gateways: this.#gateways,
      rules: this.#rules,
      firewall: this.#firewall,
      sysctls: this.#sysctls,
    };
  }

  apply(change: Change): void {
    switch (change.kind) {
      case 'set-sysctl':
        this.#sysctls.set(change.name, change.to);
        break;
      case 'create-interface':
        this.#touched.delete(change.tunnel.name);
        this.#interfaces.set(change.tunnel.name, { ...change.tunnel, peers: new Map() });
        break;
      case 'delete-interface':
        this.#deleteInterface(change.name);
        break;
      case 'configure-interface':
        this.#configure(change.name, change.to);
        break;
      case 'add-address':
        this.#tunnel(change.interface)?.addresses.add(change.address);
        break;
      case 'remove-address':
        this.#tunnel(change.interface)?.addresses.delete(change.address);
        break;
      case 'add-peer':
      case 'replace-peer':
      case 'move-peer':
        this.#setPeer(change.interface, change.peer);
        break;
      case 'update-peer':
        this.#setPeer(change.interface, { ...change.to, endpoint: change.from.endpoint });
        break;
      case 'remove-peer':
        this.#removePeer(change.interface, change.publicKey);
        break;
      case 'add-route':
        this.#routeSlots().set(routeSlot(change.route), change.route);
        break;
      case 'replace-route':
        this.#routeSlots().set(routeSlot(change.to), change.to);
        break;
      case 'remove-route':
        this.#removeRoute(change.route);
        break;
      case 'set-gateway':
        this.#gateways.set(gatewayKey(change.to), change.to);
        break;
      case 'remove-gateway':
        this.#gateways.delete(gatewayKey(change.gateway));
        break;
      case 'add-rule':
        this.#rules.set(ruleKey(change.rule), change.rule);
        break;
      case 'remove-rule':
        this.#rules.delete(ruleKey(change.rule));
        break;
      case 'set-firewall':
        this.#firewall = change.to;
        break;
      case 'remove-firewall':
        this.#firewall = undefined;
        break;
    }
  }

  #deleteInterface(name: string): void {
    this.#touched.delete(name);
    this.#interfaces.delete(name);
    const routes = this.#routeSlots();
    for (const [slot, route] of routes) if (route.interfaces.includes(name)) routes.delete(slot);
  }

  #configure(name: string, to: TunnelState): void {
    const draft = this.#tunnel(name);
    if (!draft) return;
    const listenPort = to.listenPort === 0 ? draft.tunnel.listenPort : to.listenPort;
    draft.tunnel = { ...draft.tunnel, publicKey: to.publicKey, listenPort, mtu: to.mtu, mark: to.mark, up: to.up };
    for (const address of to.addresses) draft.addresses.add(address);
  }

  #setPeer(name: string, peer: PeerState): void {
    const draft = this.#tunnel(name);
    if (!draft) return;
    release(draft, peer.publicKey);
    for (const prefix of peer.allowedIps) {
      const owner = draft.peers.get(draft.owners.get(prefix) ?? peer.publicKey);
      if (owner && owner.publicKey !== peer.publicKey) {
        const allowedIps = new Set(owner.allowedIps);
        allowedIps.delete(prefix);
        draft.peers.set(owner.publicKey, { ...owner, allowedIps });
      }
      draft.owners.set(prefix, peer.publicKey);
    }
    draft.peers.set(peer.publicKey, peer);
  }

  #removePeer(name: string, publicKey: PublicKey): void {
    const draft = this.#tunnel(name);
    if (!draft) return;
    release(draft, publicKey);
    draft.peers.delete(publicKey);
  }

  #removeRoute(route: RouteState): void {
    const found = this.#routeSlots().get(routeSlot(route));
    if (found?.interfaces.join() === route.interfaces.join()) this.#routeSlots().delete(routeSlot(route));
  }

  #routeSlots(): Map<string, RouteState> {
    this.#routes ??= new Map([...this.#base.routes.values()].map((route) => [routeSlot(route), route] as const));
    return this.#routes;
  }

  #tunnel(name: string): TunnelDraft | undefined {
    const known = this.#touched.get(name);
    const tunnel = this.#interfaces.get(name);
    if (known || !tunnel) return known;
    const owners = new Map<Prefix, PublicKey>();
    for (const peer of tunnel.peers.values()) for (const prefix of peer.allowedIps) owners.set(prefix, peer.publicKey);
    const draft = { tunnel, addresses: new Set(tunnel.addresses), peers: new Map(tunnel.peers), owners };
    this.#touched.set(name, draft);
    return draft;
  }
}

/** Forgets what a peer had. */
function release(draft: TunnelDraft, publicKey: PublicKey): void {
  for (const prefix of draft.peers.get(publicKey)?.allowedIps ?? []) {
    if (draft.owners.get(prefix) === publicKey) draft.owners.delete(prefix);
  }
}
