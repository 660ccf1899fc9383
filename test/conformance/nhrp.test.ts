// One test a requirement, and one that docs/nhrp-conformance.md is what this run says. With DMWG_CONFORMANCE=write the file is
// written instead (deploy/conformance).
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'node:test';
import { caching } from './caching.ts';
import { deployment } from './deployment.ts';
import { dmvpn } from './dmvpn.ts';
import { errors } from './errors.ts';
import { extensions } from './extensions.ts';
import { messages } from './messages.ts';
import { purges } from './purge.ts';
import { registering } from './registering.ts';
import { registration } from './registration.ts';
import { type Outcome, report } from './report.ts';
import { type Requirement, titleOf } from './requirement.ts';
import { asking } from './asking.ts';
import { records } from './records.ts';
import { resolution } from './resolution.ts';

const requirements = [
  ...deployment,
  ...messages,
  ...asking,
  ...resolution,
  ...registering,
  ...registration,
  ...purges,
  ...errors,
  ...extensions,
  ...records,
  ...caching,
  ...dmvpn,
];
const file = new URL('../../docs/nhrp-conformance.md', import.meta.url);
const outcomes = new Map<Requirement, Outcome>();

for (const one of requirements) {
  const { proof } = one;
  if (typeof proof !== 'function') continue;
  test(titleOf(one), async (t) => {
    outcomes.set(one, 'fails');
    await proof(t);
    outcomes.set(one, 'passes');
  });
}

test('requirements are named once', () => {
  const titles = requirements.map(titleOf);
  assert.deepEqual(
    titles.filter((title, at) => titles.indexOf(title) !== at),
    [],
  );
});

test('docs/nhrp-conformance.md is what this run says', () => {
  const text = report(requirements, outcomes);
  if (process.env['DMWG_CONFORMANCE'] === 'write') writeFileSync(file, text);
  assert.equal(readFileSync(file, 'utf8'), text, 'docs/nhrp-conformance.md is stale: run deploy/conformance');
});
