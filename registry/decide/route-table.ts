// Who announces what, as a binary trie with compressed paths: every question costs the length of a prefix, however many there are.
import {
  type Address,
  addressValue,
  type Family,
  familyOf,
  ipv4Number,
  lengthOf,
  networkOf,
  type Prefix,
} from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { Timestamp } from '#proto/model/time.ts';

/** A node that leads to a prefix: by announcing it, or by its own address. */
export interface Candidate {
  readonly node: NodeId;
  /** 255 best, 0 unspecified. */
  readonly preference: number;
  readonly since: Timestamp;
  /** Its session ended: the holding time counts. */
  readonly lost: boolean;
}

export interface Route {
  readonly prefix: Prefix;
  /** By node id, never empty. */
  readonly candidates: readonly Candidate[];
}

/** What deciders may ask. */
export type Routes = Omit<RouteTable, 'put' | 'remove'>;

/** More than one node. */
const several = Symbol('several');
type Owner = NodeId | typeof several;

type Bits = Uint32Array;

interface TrieNode {
  readonly bits: Bits;
  readonly length: number;
  route: Route | undefined;
  /** By the next bit. */
  readonly children: [TrieNode | undefined, TrieNode | undefined];
  /** Of all routes from here on. */
  owner: Owner | undefined;
}

export class RouteTable {
  readonly #routes = new Map<Prefix, Route>();
  readonly #roots: Record<Family, TrieNode | undefined> = { 4: undefined, 6: undefined };

  constructor(routes: Iterable<readonly [Prefix, readonly Candidate[]]> = []) {
    for (const [prefix, candidates] of routes) for (const candidate of candidates) this.put(prefix, candidate);
  }

  /** Adds or replaces what one node says. */
  put(prefix: Prefix, candidate: Candidate): void {
    const others = this.candidates(prefix).filter((one) => one.node !== candidate.node);
    this.#set(prefix, [...others, candidate].sort(byNode));
  }

  remove(prefix: Prefix, node: NodeId): void {
    const left = this.candidates(prefix).filter((one) => one.node !== node);
    if (left.length > 0) this.#set(prefix, left);
    else if (this.#routes.delete(prefix)) {
      const family = familyOf(prefix);
      this.#roots[family] = without(this.#roots[family], bitsOf(networkOf(prefix)), lengthOf(prefix));
    }
  }

  candidates(prefix: Prefix): readonly Candidate[] {
    return this.#routes.get(prefix)?.candidates ?? [];
  }

  routes(): IterableIterator<Route> {
    return this.#routes.values();
  }

  prefixes(): IterableIterator<Prefix> {
    return this.#routes.keys();
  }

  /** The routes around an address, the widest first. */
  covering(address: Address): Route[] {
    const bits = bitsOf(address);
    const found: Route[] = [];
    let at = this.#roots[familyOf(address)];
    while (at && contains(at, bits)) {
      if (at.route) found.push(at.route);
      at = at.children[bitAt(bits, at.length)];
    }
    return found;
  }

  /**
   * How many bits `address` has in common with another node's route within the prefix of `from` bits around it, at most; -1 without such
   * a route. Those around the address count only when they are longer than `reached` bits.
   */
  sharedWithOthers(node: NodeId, address: Address, from: number, reached: number): number {
    const bits = bitsOf(address);
    let shared = -1;
    let at = this.#roots[familyOf(address)];
    while (at && contains(at, bits)) {
      const next = bitAt(bits, at.length);
      if (at.length >= from) {
        if (isOthers(at.children[1 - next]?.owner, node)) shared = at.length;
        if (at.length > reached && at.route && isOthers(ownerOf(at.route), node)) shared = at.length;
      }
      at = at.children[next];
    }
    if (!at || !isOthers(at.owner, node)) return shared;
    const common = commonLength(at.bits, bits, at.length);
    return common >= from ? common : shared;
  }

  /** The first candidate of the longest prefix around the address, whatever its liveness and preference. */
  match(address: Address): { readonly prefix: Prefix; readonly value: NodeId } | undefined {
    const route = this.covering(address).at(-1);
    return route && { prefix: route.prefix, value: firstOf(route) };
  }

  /** The first candidate. */
  get(prefix: Prefix): NodeId | undefined {
    const route = this.#routes.get(prefix);
    return route && firstOf(route);
  }

  /** With the first candidate of each. */
  *entries(): IterableIterator<readonly [Prefix, NodeId]> {
    for (const route of this.#routes.values()) yield [route.prefix, firstOf(route)];
  }

  #set(prefix: Prefix, candidates: readonly Candidate[]): void {
    const route = { prefix, candidates };
    this.#routes.set(prefix, route);
    const family = familyOf(prefix);
    this.#roots[family] = inserted(this.#roots[family], bitsOf(networkOf(prefix)), lengthOf(prefix), route);
  }
}

function inserted(at: TrieNode | undefined, bits: Bits, length: number, route: Route): TrieNode {
  if (!at) return { bits, length, route, children: [undefined, undefined], owner: ownerOf(route) };
  const common = commonLength(at.bits, bits, Math.min(at.length, length));
  let node = at;
  if (common < at.length) {
    node = { bits, length: common, route: undefined, children: [undefined, undefined], owner: undefined };
    node.children[bitAt(at.bits, common)] = at;
  }
  if (common === length) node.route = route;
  else {
    const next = bitAt(bits, common);
    node.children[next] = inserted(node.children[next], bits, length, route);
  }
  node.owner = joined(node);
  return node;
}

function without(at: TrieNode | undefined, bits: Bits, length: number): TrieNode | undefined {
  if (!at || at.length > length || !contains(at, bits)) return at;
  if (at.length === length) at.route = undefined;
  else {
    const next = bitAt(bits, at.length);
    at.children[next] = without(at.children[next], bits, length);
  }
  const [zero, one] = at.children;
  if (!at.route && !(zero && one)) return zero ?? one;
  at.owner = joined(at);
  return at;
}

function joined({ route, children }: TrieNode): Owner | undefined {
  let owner = route && ownerOf(route);
  for (const child of children) {
    if (!child) continue;
    if (owner === undefined) owner = child.owner;
    else if (owner !== child.owner) return several;
  }
  return owner;
}

function ownerOf({ candidates }: Route): Owner {
  return candidates.length === 1 && candidates[0] ? candidates[0].node : several;
}

function isOthers(owner: Owner | undefined, node: NodeId): boolean {
  return owner !== undefined && owner !== node;
}

function firstOf({ candidates }: Route): NodeId {
  return candidates[0]?.node as NodeId;
}

function byNode(a: Candidate, b: Candidate): number {
  return a.node < b.node ? -1 : 1;
}

function contains(at: TrieNode, bits: Bits): boolean {
  return commonLength(at.bits, bits, at.length) === at.length;
}

/** Words of 32 bits, most significant first: one of IPv4, four of IPv6. */
function bitsOf(address: Address): Bits {
  if (familyOf(address) === 4) return Uint32Array.of(ipv4Number(address));
  const value = addressValue(address);
  return Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number(BigInt.asUintN(32, value >> shift)));
}

/** Past the end it is 0. */
function bitAt(bits: Bits, index: number): 0 | 1 {
  const word = bits[index >>> 5] ?? 0;
  return ((word >>> (31 - (index & 31))) & 1) as 0 | 1;
}

function commonLength(a: Bits, b: Bits, most: number): number {
  for (let word = 0; word * 32 < most; word++) {
    const difference = (a[word] ?? 0) ^ (b[word] ?? 0);
    if (difference !== 0) return Math.min(most, word * 32 + Math.clz32(difference));
  }
  return most;
}
