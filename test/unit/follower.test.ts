import assert from 'node:assert/strict';
import test from 'node:test';
import { createLogger } from '#proto/kit/log.ts';
import type { Instant, Timestamp } from '#proto/model/time.ts';
import { Follower, mostWaiting, type Sighting } from '#registry/serve/follower.ts';
import { Traffic } from '#registry/serve/traffic.ts';
import { at, message, nodeId, resolution } from '#test/support/registry-fixtures.ts';

const sighting = (time: number): Sighting => ({
  time: at(time),
  direction: 'sent',
  node: 'a',
  message: resolution('10.99.0.1', '10.99.0.2'),
});

class Reader {
  open = true;
  ended = 0;
  readonly read: [time: number, dropped: number][] = [];

  write(seen: Sighting, dropped: number): boolean {
    this.read.push([seen.time, dropped]);
    return this.open;
  }

  end(): void {
    this.ended++;
  }
}

test('a follower that does not read keeps a bounded queue, and is told how many it lost', () => {
  const reader = new Reader();
  let left = 0;
  const follower = new Follower(undefined, reader, () => left++);
  reader.open = false;
  // The first one is taken by the pipe, which is full then; three do not fit any more.
  for (let time = 0; time < 1 + mostWaiting + 3; time++) follower.offer(undefined, sighting(time));
  assert.deepEqual(reader.read, [[0, 0]]);
  reader.open = true;
  follower.drained();
  assert.equal(reader.read.length, 1 + mostWaiting);
  assert.ok(reader.read.every(([time, dropped], index) => time === index && dropped === 0));
  follower.offer(undefined, sighting(5000));
  follower.offer(undefined, sighting(5001));
  assert.deepEqual(reader.read.slice(-2), [
    [5000, 3],
    [5001, 0],
  ]);
  follower.end();
  follower.end();
  follower.offer(undefined, sighting(5002));
  assert.deepEqual([reader.ended, left, reader.read.length], [1, 1, mostWaiting + 3]);
});

test('a pipe that fills again while the queue is written stops it, and order is kept', () => {
  const reader = new Reader();
  const follower = new Follower(undefined, reader, () => undefined);
  reader.open = false;
  for (let time = 0; time < 4; time++) follower.offer(undefined, sighting(time));
  follower.drained();
  assert.deepEqual(
    reader.read.map(([time]) => time),
    [0, 1],
  );
  follower.offer(undefined, sighting(4));
  reader.open = true;
  follower.drained();
  assert.deepEqual(
    reader.read.map(([time]) => time),
    [0, 1, 2, 3, 4],
  );
});

test('followers see one node or all, never the contents of packets and extensions, and are limited', () => {
  const clock = { now: () => 0 as Instant, date: () => 7 as Timestamp };
  const traffic = new Traffic(clock, createLogger('test', 'silent'));
  const seen: Sighting[] = [];
  const pipe = (into: Sighting[]) => ({ write: (one: Sighting) => into.push(one) > 0, end: () => undefined });
  const first = traffic.follow(nodeId(1), pipe(seen));
  assert.ok(first.ok);
  const all: Sighting[] = [];
  assert.ok(traffic.follow(undefined, pipe(all)).ok);
  const secret = new Uint8Array([112, 119]);
  const packet = message(
    '10.99.0.1',
    '10.99.0.2',
    { type: 'traffic-indication', contents: secret },
    { extensions: [{ type: 7, compulsory: true, value: secret }] },
  );
  traffic.note('received', { id: nodeId(1), name: 'one' }, packet);
  traffic.note('received', { id: nodeId(2), name: 'two' }, packet);
  traffic.note('sent', { id: undefined, name: 'admin' }, packet);
  assert.deepEqual(
    seen.map(({ node }) => node),
    ['one'],
  );
  assert.deepEqual(
    all.map(({ node }) => node),
    ['one', 'two', 'admin'],
  );
  const [shown] = seen;
  assert.ok(shown?.message.body.type === 'traffic-indication');
  assert.equal(shown.message.body.contents.length, 0);
  assert.deepEqual(shown.message.extensions, [{ type: 7, compulsory: true, value: new Uint8Array() }]);
  assert.equal(shown.time, 7);
  assert.equal(traffic.total.received.messages['traffic-indication'], 2);

  let opened = 2;
  while (traffic.follow(undefined, pipe([])).ok) opened++;
  assert.equal(opened, 16);
  first.value.end();
  assert.ok(traffic.follow(undefined, pipe([])).ok, 'who ends makes room');
  traffic.stop();
  assert.ok(traffic.follow(undefined, pipe([])).ok);
});
