// A node that is reached at another place: whoever was told about it hears of it anew, from the replica of its session.
import assert from 'node:assert/strict';
import test from 'node:test';
import { cieCode } from '#proto/model/nhrp.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { until } from '#test/support/poll.ts';
import {
  endpoint,
  multipoint,
  overlayRecord,
  publicKey,
  registration,
  resolution,
} from '#test/support/registry-fixtures.ts';
import { type NodeSession, type RegistryHost, registryFor, within } from '#test/support/registry-host.ts';

interface Joined {
  readonly session: NodeSession;
  readonly address: string;
}

async function join(registry: RegistryHost, name: string, role = 'spoke'): Promise<Joined> {
  const endpoints = role === 'hub' ? ['192.0.2.1:51820'] : [];
  const node = await registry.enrol(await registry.token({ role }), { name, role, endpoints });
  const session = registry.connect(node.identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  const { address } = node.response;
  session.say(registration(address, [multipoint(name, role === 'hub' ? [] : ['192.168.0.9:1000'])]));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
  return { session, address };
}

test('who was told of a node, and the node itself, hear where the other one is when it has moved; nobody is purged', async (t) => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  const one = await registryFor(t, { store: () => store, replica: 'one' });
  const two = await registryFor(t, { store: () => store, replica: 'two', ca: one.ca });
  const hub = await join(two, 'hub', 'hub');
  const [a, b, c] = [await join(one, 'a'), await join(two, 'b'), await join(one, 'c')];
  const seen = (name: string, where: string): void => {
    const endpoints = [{ publicKey: publicKey(name), endpoint: endpoint(where) }];
    hub.session.send({ type: 'observed-endpoints', endpoints });
  };
  seen('a', '198.51.100.1:1');
  seen('b', '198.51.100.2:2');
  await until(
    'the replicas know each other, the sessions and the endpoints',
    () => {
      const { sessions, replicas, bindings } = store.snapshot();
      const reachable = [...replicas.values()].every((each) => each.address !== '');
      return (
        reachable &&
        sessions.size === 4 &&
        [...bindings.values()].filter(({ observed }) => observed.length > 0).length === 2
      );
    },
    { within },
  );
  a.session.say(resolution(a.address, b.address));
  assert.equal((await a.session.takeNhrp('resolution-reply')).body.cies[0]?.code, cieCode.ok);
  await b.session.takeNhrp('resolution-request');

  seen('b', '203.0.113.7:7');
  const told = await a.session.takeNhrp('resolution-request');
  assert.equal(told.body.target?.name, 'b');
  assert.equal(told.source, b.address);
  assert.equal(told.destination, a.address);
  assert.deepEqual(told.body.target.rendezvous?.rounds, ['203.0.113.7:7', '203.0.113.7:7']);
  assert.equal(told.body.cies[0]?.nbma[0], '203.0.113.7:7');
  const back = await b.session.takeNhrp('resolution-request');
  assert.equal(back.body.target?.name, 'a');
  assert.deepEqual(back.body.target.rendezvous?.rounds, ['198.51.100.1:1', '198.51.100.1:1']);

  // The next one, too; who has nothing to do with it hears nothing.
  seen('b', '203.0.113.8:8');
  assert.equal((await a.session.takeNhrp('resolution-request')).body.cies[0]?.nbma[0], '203.0.113.8:8');
  c.session.say(resolution(c.address, a.address));
  await c.session.takeNhrp('resolution-reply');
  for (const { session } of [a, b, c]) {
    const purges = session.received.filter(
      (each) => each.type === 'nhrp' && each.message.body.type === 'purge-request',
    );
    assert.deepEqual(purges, []);
  }
  const heard = c.session.received.filter(
    (each) => each.type === 'nhrp' && each.message.body.type === 'resolution-request',
  );
  assert.deepEqual(heard, []);
});
