import assert from 'node:assert/strict';
import test from 'node:test';
import type { LearnedRoute } from '#proto/model/route.ts';
import { RouteLog } from '#registry/serve/route-log.ts';
import { name, nodeId, prefix } from '#test/support/registry-fixtures.ts';

const numbered = (number: number) => prefix(`10.${String(number >> 8)}.${String(number & 255)}.0/24`);
const route = (number: number, preference = 0): LearnedRoute => ({
  prefix: numbered(number),
  origins: [{ node: nodeId(1), name: name('node-1'), preference }],
});

test('a reader gets what changed since its position, each once, and nothing for what is the same', () => {
  const log = new RouteLog();
  assert.equal(log.put(numbered(1), route(1)), true);
  const position = log.end;
  assert.equal(log.put(numbered(1), route(1)), false);
  assert.deepEqual(log.since(position), new Set());
  log.put(numbered(1), route(1, 7));
  log.put(numbered(2), route(2));
  log.put(numbered(2), undefined);
  assert.deepEqual(log.since(position), new Set([numbered(1), numbered(2)]));
  assert.equal(log.get(numbered(2)), undefined);
  assert.deepEqual(log.since(0), new Set([numbered(1), numbered(2)]));
});

test('however long a route flaps, what is kept of it is bounded, and who is too far behind is told all', () => {
  const log = new RouteLog();
  for (let round = 0; round < 10_000; round++) log.put(numbered(1), route(1, round % 256));
  assert.equal(log.end, 10_000);
  assert.equal(log.since(0), undefined);
  assert.deepEqual(log.since(9990), new Set([numbered(1)]));
  assert.deepEqual(log.since(log.end), new Set());
});
