// What a resolution reply says of the other end's prefixes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { sendableBy } from '#registry/decide/sendable.ts';
import { bindingRecord, nodeRecord, prefix } from '#test/support/registry-fixtures.ts';

const lans = Array.from({ length: 64 }, (_, index) => prefix(`10.1.${String(index)}.0/24`));

test('the networks of a node are put together, but for those that it shares', () => {
  const binding = bindingRecord(1, { prefixes: lans });
  const node = nodeRecord(1, { prefixes: [prefix('10.1.0.0/16')] });
  assert.deepEqual(sendableBy(node, binding), ['10.1.0.0/18']);
  const rule = { action: 'allow', prefix: prefix('10.1.0.0/24'), least: 24, most: 24, shared: true } as const;
  const sharing = sendableBy({ ...node, policy: [rule] }, binding);
  assert.ok(sharing.includes(prefix('10.1.0.0/24')) && !sharing.includes(prefix('10.1.0.0/18')));
  assert.equal(sharing.length, 7);
});
