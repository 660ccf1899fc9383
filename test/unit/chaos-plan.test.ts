import assert from 'node:assert/strict';
import test from 'node:test';
import { longestGap } from '#test/chaos/bounds.ts';
import { planOf, type Round, subject } from '#test/chaos/plan.ts';

const members = { spokes: ['s1', 's2', 's8'], hubs: ['h1', 'h2'], registries: ['r1'], behind: { s8: 's1' } };
const times = { detection: 10, recovery: 100, hubs: members.hubs, behind: members.behind };

test('a seed says all, and every kind of fault comes', () => {
  const plan = planOf(7, 300, members);
  assert.deepEqual(planOf(7, 300, members), plan);
  assert.notDeepEqual(planOf(8, 300, members), plan);
  assert.deepEqual(planOf(7, 10, members), plan.slice(0, 10));
  assert.equal(new Set(plan.flat().map(({ fault }) => fault.kind)).size, 10);
  for (const round of plan) {
    assert.equal(new Set(round.map(({ fault }) => subject(fault))).size, round.length);
    for (const { fault } of round) {
      if (fault.kind === 'cut') assert.ok(!fault.between.includes('s8'));
      if (fault.kind === 'isolate') assert.notEqual(fault.host, 's8');
    }
  }
});

test('what a flow may miss', () => {
  const gap = (direct: boolean, ...faults: Round[number]['fault'][]): number =>
    longestGap(
      { ends: ['s2', 's8'], direct },
      faults.map((fault) => ({ at: 0, lasts: 1000, fault })),
      times,
    );
  assert.equal(
    gap(true, { kind: 'kill-registry', registry: 'r1' }, { kind: 'set-clock', host: 's2', offset: 3600 }),
    0,
  );
  assert.equal(gap(true, { kind: 'kill-agent', node: 's2' }), 0);
  assert.equal(gap(true, { kind: 'isolate', host: 'h1' }), 0);
  assert.equal(gap(false, { kind: 'isolate', host: 'h1' }), 1110);
  assert.equal(gap(true, { kind: 'isolate', host: 's1' }), 1110, 'the link is that of both');
  assert.equal(gap(true, { kind: 'cut', between: ['s1', 's2'] }), 10);
  assert.equal(gap(true, { kind: 'cut', between: ['s1', 's2'] }, { kind: 'cut', between: ['h1', 's2'] }), 1120);
  assert.equal(gap(true, { kind: 'cut-power', node: 's8' }), 1110);
});
