// Prefixes put together are the same addresses in fewer prefixes.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import {
  containsAddress,
  containsPrefix,
  lengthOf,
  parseAddress,
  type Prefix,
  prefixOf,
} from '#proto/model/address.ts';
import { aggregate } from '#proto/model/aggregate.ts';
import { must } from '#proto/model/result.ts';

const address = fc
  .tuple(fc.constantFrom('10.0.0', 'fd00::'), fc.nat(255))
  .map(([start, last]) =>
    must(parseAddress(start.includes(':') ? `${start}${last.toString(16)}` : `${start}.${String(last)}`)),
  );
const prefix = fc.tuple(address, fc.integer({ min: 0, max: 8 })).map(([one, up]) => {
  return prefixOf(one, (one.includes(':') ? 128 : 32) - up);
});

test('an address is in what was put together if it was in a part, and nothing can be put together any more', () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 60 }), fc.array(address, { maxLength: 20 }), (parts, probes) => {
      const whole = aggregate(parts);
      for (const probe of probes) {
        const inside = (all: readonly Prefix[]): boolean => all.some((one) => containsAddress(one, probe));
        assert.equal(inside(whole), inside(parts), probe);
      }
      assert.ok(whole.length <= new Set(parts).size);
      assert.deepEqual([...aggregate(whole)].sort(), [...whole].sort());
      assert.deepEqual([...aggregate([...parts].reverse())].sort(), [...whole].sort(), 'in any order');
      for (const one of whole) for (const other of whole) assert.ok(one === other || !containsPrefix(one, other));
    }),
  );
});

test('a LAN of many networks is one, and default routes stay as they are', () => {
  const many = Array.from({ length: 256 }, (_, index) => must(parseAddress(`10.1.${String(index)}.0`)));
  const all = many.map((one) => prefixOf(one, 24));
  assert.deepEqual(aggregate(all), ['10.1.0.0/16']);
  assert.equal(aggregate(all.slice(1)).length, 8);
  const halves = ['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1', '10.0.0.0/8'] as Prefix[];
  assert.deepEqual([...aggregate(halves)].sort(), [...halves].sort());
  assert.deepEqual(aggregate(['0.0.0.0/2', '64.0.0.0/2'] as Prefix[]).map(lengthOf), [2, 2]);
});
