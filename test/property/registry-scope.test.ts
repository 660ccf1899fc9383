// The prefix of a resolution reply against a second version that tries every address.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  type Address,
  addressBits,
  addressValue,
  containsPrefix,
  familyOf,
  formatAddress,
  hostPrefix,
  lengthOf,
  networkOf,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { type Candidate, RouteTable } from '#registry/decide/route-table.ts';
import { scopeOf } from '#registry/decide/scope.ts';
import type { Snapshot } from '#registry/decide/state.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { address, at, nodeId, prefix } from '#test/support/registry-fixtures.ts';

const base = address('10.0.0.0');
/** All routes and targets lie in 10.0.0.0/26: 64 addresses can be tried one by one. */
const bits = 26;
const host = (offset: number) => formatAddress(4, addressValue(base) + BigInt(offset));

const route = fc.record({
  offset: fc.nat(63),
  length: fc.integer({ min: bits, max: 32 }),
  node: fc.integer({ min: 1, max: 4 }),
});

function addressesIn(prefix: Prefix): number[] {
  const size = 2 ** (addressBits(4) - lengthOf(prefix));
  const first = Number(addressValue(networkOf(prefix)) - addressValue(base));
  return Array.from({ length: size }, (_, index) => first + index);
}

function dumb(routes: ReadonlyMap<Prefix, NodeId>, target: number): { node: NodeId; prefix: Prefix } | undefined {
  const owner = (offset: number): NodeId | undefined => {
    for (let length = 32; length >= bits; length--) {
      const found = routes.get(prefixOf(host(offset), length));
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const node = owner(target);
  if (node === undefined) return undefined;
  // A route of the node that no other node's route comes before, on the way down to the target.
  const reaches = (one: Prefix, holder: NodeId): boolean =>
    holder === node &&
    ![...routes].some(
      ([other, who]) => who !== node && containsPrefix(one, other) && containsPrefix(other, hostPrefix(host(target))),
    );
  for (let length = bits; length <= 32; length++) {
    const prefix = prefixOf(host(target), length);
    const covered = [...routes].some(([one, holder]) => reaches(one, holder) && containsPrefix(one, prefix));
    // Routes of others inside count even where they are themselves covered: they may come into effect at any time.
    const clean = ![...routes].some(([one, holder]) => holder !== node && containsPrefix(prefix, one));
    if (covered && clean && addressesIn(prefix).every((offset) => owner(offset) === node)) return { node, prefix };
  }
  return undefined;
}

test('the scope is the widest prefix that leads to one node alone', () => {
  fc.assert(
    fc.property(fc.array(route, { maxLength: 12 }), fc.nat(63), (specs, target) => {
      const routes = new Map(specs.map((one) => [prefixOf(host(one.offset), one.length), nodeId(one.node)]));
      assert.deepEqual(scopeOf(snapshotOf(tableOf(routes)), host(target), { now: at(0) }), dumb(routes, target));
    }),
    { numRuns: 300 },
  );
});

const base6 = addressValue(address('fd00::'));
const anywhere = fc.oneof(
  fc.record({ family: fc.constant(4 as const), value: fc.bigInt(0n, 2n ** 32n - 1n), length: fc.nat(32) }),
  fc.record({
    family: fc.constant(6 as const),
    value: fc.bigInt(0n, 2n ** 70n).map((value) => base6 + value),
    length: fc.nat(128),
  }),
  // Close together.
  fc.record({ family: fc.constant(4 as const), value: fc.bigInt(0n, 255n), length: fc.integer({ min: 20, max: 32 }) }),
);
const step = fc.record({ at: anywhere, node: fc.integer({ min: 1, max: 3 }), put: fc.boolean() });

test('the table, put and removed in any order, answers as a plain list does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(anywhere, { maxLength: 8 }), (steps, targets) => {
      const table = new RouteTable();
      const list = new Map<Prefix, Set<NodeId>>();
      for (const { at: where, node, put } of steps) {
        const prefix = prefixOf(formatAddress(where.family, where.value), where.length);
        const nodes = list.get(prefix) ?? new Set();
        if (put) {
          table.put(prefix, candidate(nodeId(node)));
          list.set(prefix, nodes.add(nodeId(node)));
        } else {
          table.remove(prefix, nodeId(node));
          nodes.delete(nodeId(node));
          if (nodes.size === 0) list.delete(prefix);
        }
      }
      assert.deepEqual(new Set(table.prefixes()), new Set(list.keys()));
      for (const [prefix, nodes] of list) {
        assert.deepEqual(
          table.candidates(prefix).map((one) => one.node),
          [...nodes].sort(),
        );
      }
      for (const where of targets) {
        const target = formatAddress(where.family, where.value);
        const around = [...list.keys()].filter((one) => containsPrefix(one, hostPrefix(target)));
        around.sort((a, b) => lengthOf(a) - lengthOf(b));
        assert.deepEqual(
          table.covering(target).map((one) => one.prefix),
          around,
        );
        const inside = [...list].filter(
          ([one, nodes]) =>
            containsPrefix(prefixOf(target, where.length), one) &&
            !containsPrefix(one, hostPrefix(target)) &&
            [...nodes].some((node) => node !== nodeId(1)),
        );
        const shared = inside.map(([one]) => commonBits(target, networkOf(one)));
        const most = addressBits(where.family);
        assert.equal(table.sharedWithOthers(nodeId(1), target, where.length, most), Math.max(-1, ...shared));
      }
    }),
    { numRuns: 500 },
  );
});

test('equally good nodes share the askers, and one that goes leaves the others their share', () => {
  const shared = prefix('10.0.0.0/26');
  const of = (nodes: readonly number[], asker: number): NodeId | undefined => {
    const table = new RouteTable([[shared, nodes.map((node) => candidate(nodeId(node)))]]);
    return scopeOf(snapshotOf(table), host(1), { now: at(0), asker: nodeId(asker) })?.node;
  };
  const shares = new Map<NodeId | undefined, number>();
  for (let asker = 10; asker < 310; asker++) {
    const chosen = of([1, 2, 3], asker);
    shares.set(chosen, (shares.get(chosen) ?? 0) + 1);
    const without = of([1, 2], asker);
    if (chosen !== nodeId(3)) assert.equal(without, chosen);
  }
  for (const node of [1, 2, 3]) assert.ok((shares.get(nodeId(node)) ?? 0) > 60, JSON.stringify([...shares]));
});

function candidate(node: NodeId): Candidate {
  return { node, preference: 0, since: at(0), lost: false };
}

function tableOf(routes: ReadonlyMap<Prefix, NodeId>): RouteTable {
  return new RouteTable([...routes].map(([one, node]) => [one, [candidate(node)]]));
}

function snapshotOf(routes: RouteTable): Snapshot {
  return { ...createMemoryStore().snapshot(), routes };
}

function commonBits(a: Address, b: Address): number {
  const bits = addressBits(familyOf(a));
  const difference = addressValue(a) ^ addressValue(b);
  return difference === 0n ? bits : bits - difference.toString(2).length;
}
