// The prefix of a resolution reply against a second version that tries every address.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  addressBits,
  addressValue,
  containsPrefix,
  formatAddress,
  hostPrefix,
  lengthOf,
  networkOf,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { PrefixTable } from '#proto/model/prefix-table.ts';
import { scopeOf } from '#registry/decide/scope.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { address, nodeId } from '#test/support/registry-fixtures.ts';

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
      const snapshot = { ...createMemoryStore().snapshot(), routes: new PrefixTable(routes) };
      assert.deepEqual(scopeOf(snapshot, host(target)), dumb(routes, target));
    }),
    { numRuns: 300 },
  );
});
