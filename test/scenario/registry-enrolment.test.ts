// Many enrolments at once, and those that are asked again because their answer got lost.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ChannelCredentials, status } from '@grpc/grpc-js';
import { parseJoinToken } from '#proto/codec/join-token.ts';
import { EnrolmentServiceClient, type EnrolRequest } from '#proto/gen/dmwg/v1/enrolment.ts';
import { createCsr } from '#proto/kit/certificate.ts';
import { must } from '#proto/model/result.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { overlayRecord } from '#test/support/registry-fixtures.ts';
import { call, registryFor } from '#test/support/registry-host.ts';

test('sixty machines join at once with one token, each with an address of its own', async (t) => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  const registry = await registryFor(t, { store: () => store });
  const token = must(parseJoinToken(await registry.token({ uses: 1000 })));
  const common = { role: '', prefixes: [], endpoints: [], address: '', cluster: 0 };
  const tokenSecret = Buffer.from(token.secret.reveal());
  const requests = await Promise.all(
    Array.from({ length: 60 }, async (_, index): Promise<EnrolRequest> => {
      const csr = Buffer.from((await createCsr('node')).csr);
      return { tokenId: token.id, tokenSecret, csr, name: `node-${String(index)}`, ...common };
    }),
  );
  const client = new EnrolmentServiceClient(registry.socket, ChannelCredentials.createInsecure());
  t.after(() => {
    client.close();
  });
  const nodes = await Promise.all(requests.map((request) => call(client.enrol.bind(client), request)));
  assert.equal(new Set(nodes.map(({ address }) => address)).size, 60);
  assert.equal(store.snapshot().tokens.get(token.id)?.usesLeft, 940);
});

test('machines that join at several replicas at once all succeed', async (t) => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  const one = await registryFor(t, { store: () => store });
  const two = await registryFor(t, { store: (self) => store.replica(self), replica: 'replica-2', ca: one.ca });
  const token = await one.token({ uses: 1000 });
  const names = Array.from({ length: 12 }, (_, index) => `node-${String(index)}`);
  await Promise.all(names.map((name, index) => (index % 2 === 0 ? one : two).enrol(token, { name })));
  assert.equal(store.snapshot().nodes.size, 12);
});

test('an enrolment that is asked again with the same key is the same node, though the token is used up', async (t) => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  const registry = await registryFor(t, { store: () => store });
  const token = await registry.token();
  const csr = Buffer.from((await createCsr('a')).csr);
  const first = await registry.enrol(token, { name: 'a', csr });
  const again = await registry.enrol(token, { name: 'a', csr });
  assert.equal(again.response.nodeId, first.response.nodeId);
  assert.equal(again.response.address, first.response.address);
  assert.notDeepEqual(again.response.certificate, first.response.certificate);
  const used = { code: status.PERMISSION_DENIED };
  await assert.rejects(registry.enrol(token, { name: 'b', csr }), used);
  await assert.rejects(registry.enrol(token, { name: 'a' }), used);
  await assert.rejects(registry.enrol(token, { name: 'a', csr, tokenSecret: Buffer.alloc(32) }), used);
  assert.equal(store.snapshot().nodes.size, 1);
});
