// Replicas that tell each other the wrong address.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { ReplicaServiceClient } from '#proto/gen/dmwg/v1/replica.ts';
import { registryChannelOptions, registryCredentials } from '#proto/kit/registry-credentials.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { issue } from '#test/support/pki.ts';
import { overlayRecord } from '#test/support/registry-fixtures.ts';
import { registryFor } from '#test/support/registry-host.ts';

test('a replica refuses what is meant for another one, and does not start at the address of one that answers', async (t) => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  const registry = await registryFor(t, { store: () => store });
  const identity = await issue(registry.ca, { kind: 'registry', overlay: 'blue', name: 'registry' });
  const credentials = registryCredentials({ ...identity, ca: registry.ca.certificate });
  const client = new ReplicaServiceClient(registry.address, credentials, registryChannelOptions(registry.address));
  t.after(() => {
    client.close();
  });
  const measure = (replicaId: string): Promise<status> =>
    new Promise((resolve) => {
      client.measure({ nodeId: '0'.repeat(16), replicaId }, new Metadata(), (error) => {
        resolve(error?.code ?? status.OK);
      });
    });
  assert.equal(await measure('replica-1'), status.OK);
  assert.equal(await measure('replica-2'), status.FAILED_PRECONDITION);

  store.force({ put: [{ kind: 'replica', record: { id: 'replica-1', address: registry.address } }] });
  const second = registryFor(t, {
    replica: 'replica-2',
    ca: registry.ca,
    store: (self: { address: string }) => {
      self.address = registry.address;
      return store;
    },
  });
  await assert.rejects(second, /give --advertise HOST:PORT/);
});
