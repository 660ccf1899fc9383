// Replicas that tell each other the wrong address, and what nodes are told of replicas.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { ReplicaServiceClient } from '#proto/gen/dmwg/v1/replica.ts';
import { registryChannelOptions, registryCredentials } from '#proto/kit/registry-credentials.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { issue } from '#test/support/pki.ts';
import { enrolled, nodeRecord, overlayRecord } from '#test/support/registry-fixtures.ts';
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

test('nodes are told where the replicas are that say so, best first, and of what changes', async (t) => {
  const store = createMemoryStore();
  const node = nodeRecord(1);
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }, ...enrolled(node)] });
  const open = (port: number, priority: number, cluster = 0) => ({
    address: `r.example.net:${String(port)}`,
    priority,
    cluster,
  });
  const one = await registryFor(t, { store: () => store, public: open(1, 7) });
  const session = one.connect(await issue(one.ca, { kind: 'node', overlay: 'blue', id: node.id }));
  session.send({ type: 'hello', agentVersion: 'test' });
  const told = (...ports: readonly number[]) =>
    session.take('overlay-config', ({ config }) => {
      const seen = config.registries.map(({ address }) => Number(address.split(':')[1]));
      return seen.join() === ports.join();
    });
  await told(1);
  const second = await registryFor(t, { store: () => store, ca: one.ca, replica: 'replica-2', public: open(2, 0) });
  await told(2, 1);
  await registryFor(t, { store: () => store, ca: one.ca, replica: 'replica-3', public: open(3, 0, 1) });
  await told(2, 1, 3);
  // One without an address of its own, and one that was started anew and whose old record is still there.
  store.force({ put: [{ kind: 'replica', record: { id: 'replica-4', address: 'x:1' } }] });
  store.force({ put: [{ kind: 'replica', record: { id: 'replica-5', address: 'x:2', public: open(1, 7) } }] });
  await second.serving.stop();
  store.force({ delete: [{ kind: 'replica', id: 'replica-2' }] });
  await told(1, 3);
});
