// The registry over real gRPC and mutual TLS, with the store in memory.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { status } from '@grpc/grpc-js';
import { cieCode } from '#proto/model/nhrp.ts';
import { seconds } from '#proto/model/time.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import { authority, issue } from '#test/support/pki.ts';
import { until } from '#test/support/poll.ts';
import {
  announcement,
  at,
  endpoint,
  hubTunnel,
  message,
  multipoint,
  nodeId,
  overlayRecord,
  publicKey,
  registration,
  resolution,
} from '#test/support/registry-fixtures.ts';
import { call, type NodeSession, type RegistryHost, registryFor, within } from '#test/support/registry-host.ts';

interface Setting {
  readonly registry: RegistryHost;
  readonly store: MemoryStore;
}

async function setting(t: TestContext, overlay = overlayRecord()): Promise<Setting> {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlay }] });
  return { registry: await registryFor(t, { store: () => store }), store };
}

interface Joined {
  readonly session: NodeSession;
  readonly id: string;
  readonly address: string;
}

/** A node that has joined, connected and registered. */
async function join(
  registry: RegistryHost,
  name: string,
  prefixes: readonly string[] = [],
  role = 'spoke',
): Promise<Joined> {
  const token = await registry.token({ prefixes: [...prefixes], role });
  const endpoints = role === 'hub' ? ['203.0.113.1:51820'] : [];
  const node = await registry.enrol(token, { name, prefixes: [...prefixes], endpoints });
  const session = registry.connect(node.identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  const { address } = node.response;
  session.say(registration(address, [multipoint(name, ['192.0.2.1:1000'])]));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
  if (prefixes.length > 0) {
    session.say(announcement(address, prefixes));
    assert.ok((await session.takeNhrp('registration-reply')).body.cies.every(({ code }) => code === cieCode.ok));
  }
  return { session, id: node.response.nodeId, address };
}

const denied = (code: status, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Error && 'code' in error && 'details' in error);
  assert.equal(error.code, code);
  assert.match(String(error.details), text);
  return true;
};

test('enrolment refuses what a token does not give, each with its reason', async (t) => {
  const { registry, store } = await setting(t);
  const once = await registry.token({ prefixes: ['10.1.0.0/16'] });
  const first = await registry.enrol(once, { name: 'a', prefixes: ['10.1.0.0/24'] });
  assert.equal(first.response.address, '10.99.0.1');
  await assert.rejects(registry.enrol(once, { name: 'b' }), denied(status.PERMISSION_DENIED, /used up/));

  const many = await registry.token({ uses: 9, prefixes: ['10.1.0.0/16'] });
  const cases = [
    [{ name: 'a' }, status.ALREADY_EXISTS, /name a/],
    [{ name: 'b', address: '10.99.0.1' }, status.ALREADY_EXISTS, /10\.99\.0\.1/],
    [{ name: 'b', prefixes: ['10.1.0.0/24'] }, status.ALREADY_EXISTS, /belongs to node a/],
    [{ name: 'b', prefixes: ['10.2.0.0/24'] }, status.PERMISSION_DENIED, /only 10\.1\.0\.0\/16/],
    [{ name: 'b', prefixes: ['nonsense'] }, status.INVALID_ARGUMENT, /nonsense/],
    [{ name: 'Not a name' }, status.INVALID_ARGUMENT, /lower-case/],
    [{ name: 'b', role: 'hub' }, status.PERMISSION_DENIED, /for a spoke/],
    [{ name: 'b', csr: Buffer.from('no request') }, status.INVALID_ARGUMENT, /PKCS#10/],
    [{ name: 'b', tokenSecret: Buffer.alloc(32) }, status.PERMISSION_DENIED, /unknown/],
  ] as const;
  for (const [parts, code, text] of cases) {
    await assert.rejects(
      registry.enrol(many, { ...parts, prefixes: [...('prefixes' in parts ? parts.prefixes : [])] }),
      denied(code, text),
    );
  }
  const token = [...store.snapshot().tokens.values()].find((one) => one.usesLeft === 9);
  assert.ok(token, 'a refused enrolment costs no use of the token');
  store.force({ put: [{ kind: 'token', record: { ...token, expiresAt: at(1) } }] });
  await assert.rejects(registry.enrol(many, { name: 'b' }), denied(status.PERMISSION_DENIED, /expired/));
  assert.equal(store.snapshot().nodes.size, 1);
});

test('a certificate of another CA, of another overlay, of no node or of a revoked one opens no session', async (t) => {
  const { registry } = await setting(t);
  const stranger = await authority('blue');
  const known = await join(registry, 'a');
  const foreign = await issue(stranger, { kind: 'node', overlay: 'blue', id: nodeId(1) });
  const cases = [
    [{ ...foreign, ca: registry.ca.certificate }, status.UNAUTHENTICATED, /needs a certificate/],
    [
      await issue(registry.ca, { kind: 'node', overlay: 'blue', id: nodeId(7) }),
      status.UNAUTHENTICATED,
      /does not know node .* join again/,
    ],
    [await issue(registry.ca, { kind: 'admin', overlay: 'blue', name: 'root' }), status.PERMISSION_DENIED, /for node/],
  ] as const;
  for (const [identity, code, text] of cases) {
    const session = registry.connect(identity);
    session.send({ type: 'hello', agentVersion: 'test' });
    await session.ended();
    denied(code, text)(session.error());
  }
  await call(registry.admin.revokeNode.bind(registry.admin), { node: 'a' });
  assert.equal((await known.session.take('goodbye')).reason, 'revoked');
});

test('a hub learns its spokes, and every node its hubs and summaries', async (t) => {
  const { registry } = await setting(t);
  const hub = await join(registry, 'hub', ['172.16.0.0/24'], 'hub');
  const snapshot = await hub.session.take('peer-sync');
  assert.deepEqual([snapshot.snapshot, snapshot.complete, snapshot.upsert], [true, true, []]);
  const spoke = await join(registry, 'spoke', ['10.1.0.0/24']);
  const config = await spoke.session.take('overlay-config', ({ config: one }) => one.hubs[0]?.publicKey !== undefined);
  assert.deepEqual(config.config.summaries, ['10.99.0.0/16', 'fd99::/64']);
  await spoke.session.take('route-sync', ({ upsert }) => upsert[0]?.prefix === '172.16.0.0/24');
  await hub.session.take('route-sync', ({ upsert }) => upsert[0]?.prefix === '10.1.0.0/24');
  assert.deepEqual(config.config.hubs[0]?.endpoints, ['203.0.113.1:51820']);
  const peer = await hub.session.take('peer-sync', (one) => one.upsert.length === 1);
  assert.deepEqual(
    peer.upsert[0]?.interfaces.map((one) => one.publicKey),
    [publicKey('spoke')],
  );
  spoke.session.say(registration(spoke.address, [multipoint('spoke'), hubTunnel('to-hub', 0), hubTunnel('x', 9)]));
  await spoke.session.takeNhrp('registration-reply');
  spoke.session.say(
    message(spoke.address, spoke.address, {
      type: 'purge-request',
      noReply: false,
      cies: registration(spoke.address, []).body.cies,
    }),
  );
  await spoke.session.takeNhrp('purge-reply');
  const gone = await hub.session.take('peer-sync', (one) => one.remove.length > 0);
  assert.deepEqual(gone.remove, [spoke.id]);
});

test('a resolution reaches both ends, and a binding that changes is purged from both', async (t) => {
  const { registry } = await setting(t);
  const hub = await join(registry, 'hub', [], 'hub');
  const a = await join(registry, 'a');
  const b = await join(registry, 'b', ['10.2.0.0/24']);
  hub.session.send({
    type: 'observed-endpoints',
    endpoints: [
      { publicKey: publicKey('a'), endpoint: endpoint('198.51.100.1:1') },
      { publicKey: publicKey('b'), endpoint: endpoint('198.51.100.2:2') },
    ],
  });
  await until(
    'both are observed',
    () =>
      [...registry.context.store.snapshot().bindings.values()].filter((one) => one.observed.length > 0).length === 2,
    { within },
  );

  hub.session.say(message(a.address, '10.2.0.9', { type: 'traffic-indication', contents: new Uint8Array(20) }));
  const indication = await a.session.takeNhrp('traffic-indication');
  assert.equal(indication.destination, '10.2.0.9');

  a.session.say(resolution(a.address, '10.2.0.9'));
  const [reply, request] = await Promise.all([
    a.session.takeNhrp('resolution-reply'),
    b.session.takeNhrp('resolution-request'),
  ]);
  assert.equal(reply.body.cies[0]?.prefixLength, 24);
  assert.equal(reply.body.target?.nat, true);
  assert.deepEqual(reply.body.target.rendezvous?.rounds.at(-1), '198.51.100.2:2');
  assert.deepEqual(request.body.target?.rendezvous?.rounds.at(-1), '198.51.100.1:1');
  assert.equal(request.body.target.address, a.address);

  b.session.say(registration(b.address, [multipoint('b-new')]));
  const purge = await a.session.takeNhrp('purge-request');
  assert.equal(purge.body.cies[0]?.protocolAddress, '10.2.0.0');
  // Not acknowledged: it comes again. Acknowledged: it does not.
  const again = await a.session.takeNhrp('purge-request', purge.requestId);
  a.session.say({ ...again, body: { ...again.body, type: 'purge-reply' } });

  a.session.say(resolution(a.address, '10.2.0.9'));
  await b.session.takeNhrp('resolution-request');
  await call(registry.admin.revokeNode.bind(registry.admin), { node: 'a' });
  const other = await b.session.takeNhrp('purge-request');
  assert.equal(other.body.cies[0]?.protocolAddress, a.address);
});

test('what a hub saw while the store was away, or before the node registered, is written when it can be', async (t) => {
  const { registry, store } = await setting(t);
  const hub = await join(registry, 'hub', [], 'hub');
  const a = await join(registry, 'a');
  const seen = (id: string): string | undefined =>
    [...store.snapshot().bindings.values()].find((one) => one.node === id)?.observed[0]?.endpoint;
  store.setAway(true);
  hub.session.send({
    type: 'observed-endpoints',
    endpoints: [
      { publicKey: publicKey('a'), endpoint: endpoint('198.51.100.1:1') },
      { publicKey: publicKey('b'), endpoint: endpoint('198.51.100.2:2') },
    ],
  });
  a.session.say(resolution(a.address, '10.99.0.1'));
  await a.session.takeNhrp('resolution-reply');
  assert.equal(seen(a.id), undefined);
  store.setAway(false);
  await until('the report is written', () => seen(a.id) === '198.51.100.1:1', { within });
  const b = await join(registry, 'b');
  await until('the earlier report is written', () => seen(b.id) === '198.51.100.2:2', { within });
});

test('what was told is cleared by the operator, and nodes, bindings and routes are visible', async (t) => {
  const { registry } = await setting(t);
  const a = await join(registry, 'a');
  await join(registry, 'b', ['10.2.0.0/24']);
  await until('the sessions are recorded', () => registry.context.store.snapshot().sessions.size === 2, { within });
  const { nodes } = await call(registry.query.listNodes.bind(registry.query), {});
  assert.deepEqual(
    nodes.map((node) => [node.name, node.registered, node.connected]),
    [
      ['a', true, true],
      ['b', true, true],
    ],
  );
  const { bindings } = await call(registry.query.listBindings.bind(registry.query), {});
  assert.deepEqual(
    bindings.filter((one) => one.node === 'b').map((one) => one.prefix),
    ['10.99.0.2/32', 'fd99::2/128', '10.2.0.0/24'],
  );
  const cleared = await call(registry.admin.clear.bind(registry.admin), { address: '10.2.0.1', all: false });
  assert.equal(cleared.cleared, 3);
  assert.equal((await a.session.takeNhrp('purge-request')).body.cies.length, 3);
});

test('a newer session of a node replaces the older one', async (t) => {
  const { registry } = await setting(t);
  const token = await registry.token();
  const node = await registry.enrol(token, { name: 'a' });
  const first = registry.connect(node.identity);
  first.send({ type: 'hello', agentVersion: 'test' });
  await first.take('welcome');
  const second = registry.connect(node.identity);
  second.send({ type: 'hello', agentVersion: 'test' });
  await second.take('welcome');
  assert.equal((await first.take('goodbye')).reason, 'replaced');
});

test('a message that is not understood ends the session with the reason', async (t) => {
  const { registry } = await setting(t);
  const a = await join(registry, 'a');
  a.session.send({ type: 'hello', agentVersion: 'again' });
  assert.equal((await a.session.take('goodbye')).reason, 'protocol-error');
});

test('without a store a known node is served from memory, and a change is refused', async (t) => {
  const { registry, store } = await setting(t);
  const a = await join(registry, 'a');
  const b = await join(registry, 'b');
  store.setAway(true);
  a.session.say(registration(a.address, [multipoint('a', ['192.0.2.1:1000'])]));
  assert.equal((await a.session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
  a.session.say(resolution(a.address, b.address));
  assert.equal((await a.session.takeNhrp('resolution-reply')).body.cies[0]?.code, cieCode.ok);
  a.session.say(registration(a.address, [multipoint('a2')]));
  assert.equal((await a.session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.noResources);
  store.setAway(false);
  a.session.say(registration(a.address, [multipoint('a2')]));
  assert.equal((await a.session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
});

test('a node that does not come back is lost, expires, and is found again when it does', async (t) => {
  const { registry, store } = await setting(t, overlayRecord({ holdingTime: seconds(2) }));
  const a = await join(registry, 'a');
  await join(registry, 'b');
  store.force({
    put: [...store.snapshot().bindings.values()].map(
      (record) => ({ kind: 'binding', record: { ...record, holdingTime: seconds(2) } }) as const,
    ),
  });
  await until('the session is recorded', () => store.snapshot().sessions.size === 2, { within });
  a.session.close();
  await until('the session record goes', () => store.snapshot().sessions.size === 1, { within });
  await until('it is lost', () => [...store.snapshot().bindings.values()].some((one) => one.lostAt !== undefined), {
    within,
  });
  await until('it expires', () => store.snapshot().bindings.size === 1, { within });
  assert.equal(store.keys().filter((key) => key.startsWith('claims/key/')).length, 1);
});

test('a registry that stops says so, and leaves the bindings as they are', async (t) => {
  const { registry, store } = await setting(t);
  const a = await join(registry, 'a');
  await until('the session is recorded', () => store.snapshot().sessions.size === 1, { within });
  const before = store.keys();
  await registry.serving.stop();
  assert.equal((await a.session.take('goodbye')).reason, 'draining');
  assert.deepEqual(store.keys(), before);
});

test('two replicas: a node of one resolves a node of the other, and moves with its newest session', async (t) => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  const one = await registryFor(t, { store: () => store, replica: 'one' });
  const two = await registryFor(t, { store: () => store, replica: 'two', ca: one.ca });
  const a = await join(one, 'a');
  const b = await join(two, 'b');
  await until(
    'sessions and replicas are recorded',
    () =>
      store.snapshot().sessions.size === 2 &&
      [...store.snapshot().replicas.values()].every((each) => each.address !== ''),
    { within },
  );
  a.session.say(resolution(a.address, b.address));
  const [reply, request] = await Promise.all([
    a.session.takeNhrp('resolution-reply'),
    b.session.takeNhrp('resolution-request'),
  ]);
  assert.ok(reply.body.target?.rendezvous && request.body.target?.rendezvous);
  a.session.say(registration(a.address, [multipoint('a-new')]));
  const purge = await b.session.takeNhrp('purge-request');
  assert.equal(purge.body.cies[0]?.protocolAddress, a.address);
});
