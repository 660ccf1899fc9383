import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeReach, longestReachLine, mostReached, reachLines } from '#proto/codec/reach.ts';
import type { NodeId } from '#proto/model/names.ts';
import { must } from '#proto/model/result.ts';

const nodes = (count: number): NodeId[] =>
  Array.from({ length: count }, (_, index) => index.toString(16).padStart(16, '0') as NodeId);

test('what is reached comes back as it was said, in lines that are not too long', () => {
  for (const [snapshot, up, down] of [
    [true, 0, 0],
    [true, 2 * mostReached + 1, 0],
    [false, 3, mostReached + 1],
  ] as const) {
    const lines = reachLines(snapshot, nodes(up), nodes(down));
    assert.ok(lines.every((line) => line.endsWith('\n') && line.length <= longestReachLine));
    const parts = lines.map((line) => must(decodeReach(line)));
    assert.deepEqual(
      parts.flatMap((part) => part.up),
      nodes(up),
    );
    assert.deepEqual(
      parts.flatMap((part) => part.down),
      nodes(down),
    );
    assert.deepEqual(
      parts.map((part) => part.snapshot),
      parts.map((_, index) => snapshot && index === 0),
    );
    assert.deepEqual(
      parts.map((part) => part.more),
      parts.map((_, index) => index + 1 < parts.length),
    );
  }
  assert.deepEqual(reachLines(false, [], []), []);
});

test('what is no such line is refused, and a field of a later version is not', () => {
  for (const text of [
    '',
    '{',
    '[]',
    '{"up":[1]}',
    '{"up":["me"]}',
    `{"up":${JSON.stringify(nodes(mostReached + 1))}}`,
  ]) {
    assert.equal(decodeReach(text).ok, false, text.slice(0, 40));
  }
  const later = must(decodeReach('{"snapshot":true,"cost":{}}'));
  assert.deepEqual(later, { snapshot: true, more: false, up: [], down: [] });
});
