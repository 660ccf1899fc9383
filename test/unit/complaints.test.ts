import assert from 'node:assert/strict';
import test from 'node:test';
import type { Logger } from '#proto/kit/log.ts';
import { errorAbout } from '#registry/decide/reply.ts';
import type { Instant, Timestamp } from '#proto/model/time.ts';
import { Complaints } from '#registry/serve/complaints.ts';
import { resolution } from '#test/support/registry-fixtures.ts';

test('the same complaint about the same node is one line a minute, with how often it came meanwhile', () => {
  const lines: Record<string, unknown>[] = [];
  const log = { warn: (fields: Record<string, unknown>) => lines.push(fields) } as unknown as Logger;
  let now = 0;
  const held = (): Timestamp => now as Timestamp;
  const clock = { now: () => now as Instant, date: held, held };
  const complaints = new Complaints(clock, log);
  const error = (code: number) =>
    errorAbout(resolution('10.99.0.1', '10.99.0.2'), code, { server: undefined, sender: undefined });
  for (let times = 0; times < 5; times++) complaints.about('a', error(7));
  complaints.about('a', error(1));
  complaints.about('b', error(7));
  complaints.about('b', resolution('10.99.0.1', '10.99.0.2'));
  assert.deepEqual(
    lines.map(({ node, error: code, destination }) => [node, code, destination]),
    [
      ['a', 7, '10.99.0.1'],
      ['a', 1, '10.99.0.1'],
      ['b', 7, '10.99.0.1'],
    ],
  );
  now = 60_000;
  complaints.about('a', error(7));
  assert.equal(lines.at(-1)?.['repeated'], 4);
  for (let times = 0; times < 3; times++) complaints.dropped('a', 'a traffic indication of a spoke');
  assert.equal(lines.length, 5);
});
