// What a lab consists of, as a value. A lab is a set of network namespaces ("hosts") joined by segments; the segment named
// "internet" is routed by a host of its own, the core, where paths are cut and packets lost; every other segment is a
// switch. Test support: imports Node, proto and its own folder only.

/**
 * How a NAT treats what nobody inside asked for.
 * - `restricted`: keeps the port, drops unsolicited packets (port-restricted cone, a usual home router)
 * - `lax`: keeps the port, drops nothing: an unsolicited packet makes a conntrack entry, so that who punches late gets
 *   another port
 * - `symmetric`: another random port for every destination, drops unsolicited packets
 * - `none`: a router without NAT; the internet has a route to its segments
 */
export type NatKind = 'restricted' | 'lax' | 'symmetric' | 'none';

export interface HostPlan {
  /** Segment name -> address. On "internet" a bare address, elsewhere with its prefix length: "192.168.1.2/24". */
  readonly attach: Readonly<Record<string, string>>;
  /** Default gateway. A host on the internet has one already. */
  readonly gateway?: string;
  /** Forwards between its interfaces. */
  readonly forwards?: boolean;
}

export interface NatPlan extends HostPlan {
  readonly kind: NatKind;
}

export interface LabPlan {
  readonly hosts: Readonly<Record<string, HostPlan>>;
  readonly nats?: Readonly<Record<string, NatPlan>>;
}

export const internet = 'internet';
/** The core's address on every link of the internet. */
export const coreAddress = '192.0.2.1';
/** Namespaces that every lab has besides those planned. */
export const coreName = 'core';
export const switchName = 'switch';

/** All hosts and NATs, by name. Throws when a name is taken twice or cannot be an interface's name too. */
export function members(plan: LabPlan): Map<string, HostPlan> {
  const all = new Map<string, HostPlan>();
  const nats = Object.entries(plan.nats ?? {}).map(([name, nat]): [string, HostPlan] => [
    name,
    { ...nat, forwards: true },
  ]);
  for (const [name, host] of [...Object.entries(plan.hosts), ...nats]) {
    if (!/^[a-z][a-z0-9-]{0,11}$/.test(name))
      throw new Error(`"${name}" is no host name of a lab: [a-z][a-z0-9-]{0,11}`);
    if (name === coreName || name === switchName || all.has(name)) throw new Error(`host name "${name}" is taken`);
    for (const segment of Object.keys(host.attach)) {
      if (!/^[a-z][a-z0-9-]{0,14}$/.test(segment))
        throw new Error(`"${segment}" is no segment name: [a-z][a-z0-9-]{0,14}`);
    }
    all.set(name, host);
  }
  return all;
}

/** The segments that are switches. */
export function switches(plan: LabPlan): Set<string> {
  const names = [...members(plan).values()].flatMap((host) => Object.keys(host.attach));
  return new Set(names.filter((name) => name !== internet));
}
