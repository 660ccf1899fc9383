import assert from 'node:assert/strict';
import test from 'node:test';
import { after, type Instant, milliseconds } from '#proto/model/time.ts';
import { createLogger } from '#proto/kit/log.ts';
import { Observations } from '#registry/serve/observations.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { bindingRecord, endpoint, enrolled, nodeRecord, publicKey } from '#test/support/registry-fixtures.ts';
import { ok } from '#proto/model/result.ts';
import { OneEach } from '#registry/serve/one-each.ts';
import { Pace } from '#registry/serve/pace.ts';
import { RttMeter } from '#registry/serve/rtt.ts';
import { until } from '#test/support/poll.ts';

test('a session that says too much is held up until it is dealt with, and for as long as its rate says', async () => {
  let now = 0 as Instant;
  const said: string[] = [];
  const paced = { pause: () => said.push('pause'), resume: () => said.push('resume') };
  const pace = new Pace({ perSecond: 100, burst: 4, mostOpen: 2 }, paced, () => now);
  pace.begin();
  pace.begin();
  assert.deepEqual(said, ['pause']);
  pace.end();
  assert.deepEqual(said, ['pause', 'resume']);
  pace.begin();
  pace.end();
  pace.end();
  assert.deepEqual(said.splice(0), ['pause', 'resume', 'pause', 'resume']);
  // The burst is used up: the next comes when there is a token again.
  pace.begin();
  pace.end();
  assert.deepEqual(said, ['pause']);
  now = after(now, milliseconds(20));
  await until('it goes on', () => said.length === 2, { within: 2000, every: 5 });
  pace.stop();
});

test('the questions of a node are answered one at a time, those of an administrator at once', async () => {
  const lines = new OneEach();
  const node = { kind: 'node', node: nodeRecord(1) } as const;
  const done: number[] = [];
  const ask = (number: number) => lines.pass(node, () => ok(done.push(number)));
  const asked = Array.from({ length: 9 }, (_, number) => ask(number));
  await lines.pass({ kind: 'admin', name: 'root' }, () => ok(done.push(100)));
  const results = await Promise.all(asked);
  assert.deepEqual(done, [100, 0, 1, 2, 3, 4, 5, 6, 7]);
  assert.ok(results[8]?.ok === false && results[8].fault.code === 'too-many');
  assert.ok((await ask(9)).ok);
});

test('an answer that is later than two seconds is no round trip', () => {
  const meter = new RttMeter();
  const start = 0 as Instant;
  meter.pong(meter.ping(start), after(start, milliseconds(2001)));
  assert.equal(meter.rtt, undefined);
  meter.pong(meter.ping(start), after(start, milliseconds(40)));
  assert.equal(meter.rtt, 40);
});

test('of what a spoke says that it sees nothing is kept', async () => {
  const store = createMemoryStore();
  const spoke = nodeRecord(1);
  store.force({ put: [...enrolled(spoke), ...enrolled(nodeRecord(2), bindingRecord(2))] });
  const observations = new Observations({ store, log: createLogger('test', 'silent') });
  const seen = [{ publicKey: publicKey('node-2'), endpoint: endpoint('198.51.100.2:2002') }];
  observations.report(spoke.id, seen);
  // Also when it becomes a hub: what it said before does not count.
  store.force({
    put: [
      { kind: 'node', record: { ...spoke, role: 'hub' } },
      { kind: 'binding', record: bindingRecord(2) },
    ],
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(store.commits(), 0);
  observations.report(spoke.id, seen);
  await until('it is written', () => store.commits() === 1, { within: 2000, every: 5 });
  observations.stop();
});
