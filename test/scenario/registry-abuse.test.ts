// What callers may not do to a registry, over real gRPC.
import assert from 'node:assert/strict';
import test from 'node:test';
import { status } from '@grpc/grpc-js';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { overlayRecord } from '#test/support/registry-fixtures.ts';
import { call, registryFor } from '#test/support/registry-host.ts';

const overlayStore = () => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  return store;
};

test('an enrolment without a valid token is not looked at, and leaves no event', async (t) => {
  const registry = await registryFor(t, { store: overlayStore });
  const token = await registry.token();
  const prefixes = Array.from({ length: 10_000 }, () => '2001:db8::/64');
  const stranger = { name: 'Not a name', prefixes, tokenSecret: Buffer.alloc(32) };
  await assert.rejects(registry.enrol(token, stranger), { code: status.PERMISSION_DENIED });
  const { events } = await call(registry.query.listEvents.bind(registry.query), {});
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['token.created'],
  );
  // With a token the lists are counted before they are read, and a long message is not taken at all.
  await assert.rejects(registry.enrol(token, { prefixes }), {
    code: status.RESOURCE_EXHAUSTED,
    details: /^prefixes: 10000/,
  });
  const long = Array.from({ length: 30_000 }, () => '2001:db8::/64');
  await assert.rejects(registry.enrol(token, { ...stranger, prefixes: long }), {
    code: status.RESOURCE_EXHAUSTED,
    details: /larger than max/,
  });
});
