import assert from 'node:assert/strict';
import test from 'node:test';
import type { Instant, Timestamp } from '#proto/model/time.ts';
import { HoldingClock } from '#registry/serve/holding-clock.ts';

test('holding times stand still while the store is away and when the wall clock is set, and go on afterwards', () => {
  let now = 0;
  let step = 1_000_000;
  let healthy = true;
  const inner = { now: () => now as Instant, date: () => (now + step) as Timestamp };
  const clock = new HoldingClock(inner, { healthy: () => healthy });
  const passes = (span: number): number => {
    const before = clock.held();
    now += span;
    return clock.held() - before;
  };
  assert.equal(passes(5000), 5000);
  healthy = false;
  assert.equal(passes(3_600_000), 0);
  healthy = true;
  assert.equal(passes(5000), 5000);
  step += 86_400_000;
  assert.equal(passes(2000), 2000);
  assert.equal(clock.date() - clock.held(), 3_600_000 + 86_400_000);
  step -= 86_400_000;
  assert.equal(passes(2000), 2000);
  passes(65_537_000);
  assert.equal(clock.date(), clock.held());
});
