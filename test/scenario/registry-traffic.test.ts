// What the registry tells of the NHRP messages that pass it, over real gRPC.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { type ServiceError, status } from '@grpc/grpc-js';
import { decodeCounters } from '#proto/codec/nhrp-counters.ts';
import { AdminServiceClient, type FollowNhrpResponse, Direction } from '#proto/gen/dmwg/v1/admin.ts';
import { registryChannelOptions, registryCredentials } from '#proto/kit/registry-credentials.ts';
import { cieCode } from '#proto/model/nhrp.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { until } from '#test/support/poll.ts';
import { multipoint, overlayRecord, registration, resolution } from '#test/support/registry-fixtures.ts';
import {
  call,
  type EnrolledNode,
  type NodeSession,
  type RegistryHost,
  registryFor,
  within,
} from '#test/support/registry-host.ts';

interface Joined {
  readonly node: EnrolledNode;
  readonly session: NodeSession;
  readonly address: string;
}

async function setting(t: TestContext): Promise<RegistryHost> {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  return registryFor(t, { store: () => store });
}

async function join(registry: RegistryHost, name: string): Promise<Joined> {
  const node = await registry.enrol(await registry.token(), { name });
  const session = registry.connect(node.identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  const { address } = node.response;
  session.say(registration(address, [multipoint(name, ['192.0.2.1:1000'])]));
  assert.equal((await session.takeNhrp('registration-reply')).body.cies[0]?.code, cieCode.ok);
  return { node, session, address };
}

interface Followed {
  readonly seen: FollowNhrpResponse[];
  readonly error: () => ServiceError | undefined;
  readonly ended: () => boolean;
  cancel(): void;
}

/** Resolves when the registry shows messages. */
async function follow(admin: AdminServiceClient, node = ''): Promise<Followed> {
  const seen: FollowNhrpResponse[] = [];
  let failure: ServiceError | undefined;
  let begun = false;
  let over = false;
  const stream = admin.followNhrp({ node });
  stream.on('metadata', () => {
    begun = true;
  });
  stream.on('data', (one: FollowNhrpResponse) => seen.push(one));
  stream.on('error', (error: ServiceError) => {
    failure = error;
  });
  stream.on('end', () => {
    over = true;
  });
  await until('it follows', () => begun || failure !== undefined, { within });
  return {
    seen,
    error: () => failure,
    ended: () => over,
    cancel: () => {
      stream.cancel();
    },
  };
}

const line = ({ direction, node, message }: FollowNhrpResponse): string =>
  `${direction === Direction.DIRECTION_SENT ? 'to' : 'from'} ${node} ${message?.body?.$case ?? ''}`;

test('messages are counted in total and for each session', async (t) => {
  const registry = await setting(t);
  const a = await join(registry, 'a');
  const b = await join(registry, 'b');
  a.session.say(resolution(a.address, b.address));
  await Promise.all([a.session.takeNhrp('resolution-reply'), b.session.takeNhrp('resolution-request')]);
  a.session.say(resolution(a.address, '10.99.200.200', {}));
  await until('a NAK', () => a.session.received.filter((one) => one.type === 'nhrp').length === 3, { within });

  const getCounters = registry.query.getCounters.bind(registry.query);
  const all = await call(getCounters, { node: '' });
  assert.equal(all.replica, 'replica-1');
  assert.ok(all.sinceMs > 0n && all.nodes.every(({ sinceMs }) => sinceMs >= all.sinceMs));
  const total = decodeCounters(all.total);
  assert.equal(total.received.messages['registration-request'], 2);
  assert.equal(total.received.messages['resolution-request'], 2);
  assert.equal(total.sent.messages['resolution-request'], 1);
  assert.deepEqual(total.sent.naks['resolution-reply'], { [cieCode.noBinding]: 1 });
  assert.deepEqual(
    all.nodes.map(({ name }) => name),
    ['a', 'b'],
  );

  const [only, ...others] = (await call(getCounters, { node: 'b' })).nodes;
  assert.deepEqual(others, []);
  const ofB = decodeCounters(only?.counters);
  assert.deepEqual([ofB.received.messages['resolution-request'], ofB.sent.messages['resolution-request']], [0, 1]);
  await assert.rejects(call(getCounters, { node: 'x' }), { code: status.NOT_FOUND });

  // A new session counts anew; the total goes on.
  b.session.close();
  await until('the session is over', () => registry.serving.sessions.open.size === 1, { within });
  const again = registry.connect(b.node.identity);
  again.send({ type: 'hello', agentVersion: 'test' });
  await again.take('welcome');
  const later = await call(getCounters, { node: 'b' });
  assert.deepEqual(
    later.nodes.map(({ counters }) => counters),
    [{ received: [], sent: [] }],
  );
  assert.deepEqual(decodeCounters(later.total), total);
});

test('an operator follows the messages of one node, or of all; a node may not', async (t) => {
  const registry = await setting(t);
  const a = await join(registry, 'a');
  const b = await join(registry, 'b');
  const everyone = await follow(registry.admin);
  const onlyB = await follow(registry.admin, 'b');
  a.session.say(resolution(a.address, b.address));
  await Promise.all([a.session.takeNhrp('resolution-reply'), b.session.takeNhrp('resolution-request')]);
  await until('both saw it', () => everyone.seen.length === 3 && onlyB.seen.length === 1, { within });
  assert.deepEqual(everyone.seen.map(line), [
    'from a resolutionRequest',
    'to b resolutionRequest',
    'to a resolutionReply',
  ]);
  assert.deepEqual(onlyB.seen.map(line), ['to b resolutionRequest']);
  const [first] = everyone.seen;
  assert.ok(first && first.timeMs > 0n && first.dropped === 0n);
  assert.equal(first.message?.destinationProtocolAddress, b.address);

  assert.equal((await follow(registry.admin, 'nobody')).error()?.code, status.NOT_FOUND);
  const asNode = new AdminServiceClient(
    registry.address,
    registryCredentials(a.node.identity),
    registryChannelOptions(registry.address),
  );
  t.after(() => {
    asNode.close();
  });
  assert.equal((await follow(asNode)).error()?.code, status.PERMISSION_DENIED);

  onlyB.cancel();
  await until('it is cancelled', () => onlyB.error()?.code === status.CANCELLED, { within });
  // A registry that stops ends them.
  await registry.serving.stop();
  await until('it ended', everyone.ended, { within });
  assert.equal(everyone.error(), undefined);
});
