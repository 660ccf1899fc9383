// Looking only at what a change touches finds the same answers wrong as looking at everything.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { networkOf, prefixOf, type Prefix } from '#proto/model/address.ts';
import { scopeOf } from '#registry/decide/scope.ts';
import { isStale, type Told, toldNow } from '#registry/decide/told.ts';
import { isSuspect, suspectsOf } from '#registry/serve/route-changes.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import {
  at,
  bindingRecord,
  enrolled,
  multipoint,
  nodeRecord,
  overlayRecord,
  prefix,
} from '#test/support/registry-fixtures.ts';

const view = { now: at(0) };
const numbers = [1, 2, 3, 4];
const prefixes: fc.Arbitrary<Prefix> = fc
  .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 7, max: 12 }))
  .map(([bits, length]) => prefixOf(networkOf(prefix(`10.${String(bits * 16)}.0.0/16`)), length));
const step = fc.record({
  node: fc.constantFrom(...numbers),
  /** None: the node registers nothing any more. */
  announced: fc.option(fc.uniqueArray(prefixes, { maxLength: 3 }), { nil: undefined, freq: 6 }),
  key: fc.constantFrom('a', 'b'),
  /** What others ask for afterwards. */
  asked: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 4 }),
});

test('the suspects of a change are all whose answers it makes wrong', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const store = createMemoryStore();
      store.force({ put: [{ kind: 'overlay', record: overlayRecord({ pool: prefix('192.168.0.0/24') }) }] });
      const nodes = numbers.map((number) => nodeRecord(number, { address6: undefined }));
      for (const node of nodes) store.force({ put: enrolled(node) });
      let changed: Prefix[] = [];
      store.onChange((changes) => {
        changed = changes.flatMap((one) => (one.kind === 'route' ? [one.prefix] : []));
      });
      const told = new Map<string, Told>();
      for (const { node, announced, key, asked } of steps) {
        const record = bindingRecord(node, {
          prefixes: announced ?? [],
          interfaces: [multipoint(`${String(node)} ${key}`)],
        });
        const { id } = nodeRecord(node);
        if (announced) store.force({ put: [{ kind: 'binding', record }] });
        else store.force({ delete: [{ kind: 'binding', id }] });
        const snapshot = store.snapshot();
        const suspects = suspectsOf(snapshot, [id], changed);
        for (const [name, one] of told) {
          if (!isStale(snapshot, one, toldNow(snapshot, one.prefix, one.about, view))) continue;
          const parts = suspects.get(one.about);
          assert.ok(
            suspects.has(one.about) && isSuspect(parts, one.prefix),
            `${one.prefix} of ${one.about} is suspect`,
          );
          told.delete(name);
        }
        for (const part of asked) {
          const scope = scopeOf(snapshot, networkOf(prefix(`10.${String(part)}.0.0/16`)), view);
          const one = scope && toldNow(snapshot, scope.prefix, scope.node, view);
          if (one) told.set(`${one.prefix} ${one.about}`, one);
        }
      }
    }),
    { numRuns: 300 },
  );
});
