import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { judge } from '#agent/decide/quality.ts';
import type { Verdict } from '#agent/decide/quality-state.ts';
import type { Instant } from '#proto/model/time.ts';

const rules = { loss: 10, rtt: 400 };
const reading = fc.record({
  loss: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  rttMs: fc.option(fc.double({ min: 0, max: 1000, noNaN: true }), { nil: undefined }),
});

test('verdicts change rarely whatever is measured, and only for what was measured', () => {
  fc.assert(
    fc.property(fc.array(reading, { minLength: 1, maxLength: 600 }), (readings) => {
      let verdicts: ReadonlyMap<string, Verdict> = new Map();
      let turns = 0;
      readings.forEach(({ loss, rttMs }, index) => {
        const now = (index * 2000) as Instant;
        const before = verdicts.get('path');
        const next = judge(verdicts, new Map([['path', { loss, rttMs }]]), rules, now);
        const after = next.get('path');
        if (next === verdicts) assert.equal(after, before);
        if ((before?.poor ?? false) !== (after?.poor ?? false)) {
          turns += 1;
          const bad = (loss ?? 0) >= 0.1 || (rttMs ?? 0) >= 400;
          assert.equal(after?.poor, bad, 'what is poor was bad, and what is good was not');
        }
        verdicts = next;
      });
      // It has to be good for 30 s, then for a minute, then for two...
      const spans = (readings.length * 2) / 30;
      assert.ok(turns <= 2 * Math.ceil(Math.log2(spans + 1)) + 2, `${String(turns)} in ${String(readings.length)}`);
    }),
  );
});
