import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type Sleeper, Wakeups } from '#agent/io/bfd-wakeups.ts';

const actions = fc.array(
  fc.record({
    item: fc.integer({ min: 0, max: 20 }),
    wakeAt: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.constant(Infinity)),
    remove: fc.boolean(),
  }),
  { maxLength: 200 },
);

test('the first of the queue is always one that is due first', () => {
  fc.assert(
    fc.property(actions, (list) => {
      const items: Sleeper[] = Array.from({ length: 21 }, () => ({ wakeAt: Infinity, slot: -1 }));
      const queue = new Wakeups<Sleeper>();
      const plain = new Map<Sleeper, number>();
      for (const { item: index, wakeAt, remove } of list) {
        const item = items[index];
        assert.ok(item);
        if (remove) {
          queue.remove(item);
          plain.delete(item);
        } else {
          queue.set(item, wakeAt);
          plain.set(item, wakeAt);
        }
        const first = queue.first();
        assert.equal(first === undefined, plain.size === 0);
        if (first) assert.equal(plain.get(first), Math.min(...plain.values()));
      }
    }),
  );
});
