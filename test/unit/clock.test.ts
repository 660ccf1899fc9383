import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { pause, systemClock } from '#proto/kit/clock.ts';
import { after, milliseconds } from '#proto/model/time.ts';
import { EtcdError } from '#registry/store/etcd-port.ts';
import { retry } from '#registry/store/retry.ts';

/** What Node warned of meanwhile. */
async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = [];
  const note = (warning: Error): void => {
    seen.push(warning.message);
  };
  process.on('warning', note);
  await work();
  // Warnings come at the next turn; one of our own is the last.
  const last = once(process, 'warning');
  process.emitWarning('the last one');
  await last;
  process.off('warning', note);
  return seen.filter((message) => message !== 'the last one');
}

test('a pause ends with its time or its signal, and leaves nothing at the signal', async () => {
  const gone = new AbortController();
  const begun = systemClock.now();
  const waits = [pause(3_600_000, gone.signal), pause(1, gone.signal), pause(1)];
  await Promise.all(waits.slice(1));
  gone.abort();
  await Promise.all([...waits, pause(3_600_000, gone.signal)]);
  assert.ok(systemClock.now() - begun < 60_000);
});

test('many calls that wait at once for etcd to answer again are no leak', async () => {
  const attempt = (again: boolean): Promise<boolean> =>
    again ? Promise.resolve(true) : Promise.reject(new EtcdError('transient', 'not now'));
  const deadline = after(systemClock.now(), milliseconds(60_000));
  const seen = await warningsOf(async () => {
    const done = await Promise.all(Array.from({ length: 50 }, () => retry(systemClock, deadline, attempt)));
    assert.ok(done.every(Boolean));
  });
  assert.deepEqual(seen, []);
});
