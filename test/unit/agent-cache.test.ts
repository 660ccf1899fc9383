// The cache of bindings: what may replace what, and where an answer contradicts what is cached.
import assert from 'node:assert/strict';
import test from 'node:test';
import { seconds } from '#proto/model/time.ts';
import { cie } from '#test/support/registry-fixtures.ts';
import { address, config, joinedSpoke, key, nodeId, nodeName, other, type Story } from '#test/support/agent-story.ts';

test('an answer with a narrower prefix replaces the wider one that was cached of the same destination', () => {
  const story = joinedSpoke();
  const destination = address('192.168.2.9');
  const answered = (prefixLength: number): void => {
    const [request] = story.sent('resolution-request');
    const flags = { router: true, authoritative: true, destinationStable: true, unique: false, sourceStable: true };
    const cies = [cie({ prefixLength, protocolAddress: other.address, holdingTime: seconds(60) })];
    const { requestId } = request ?? assert.fail('nothing was asked');
    story.hear({ type: 'resolution-reply', ...flags, cies, target: other }, { requestId });
  };
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination });
  answered(24);
  story.wait(25);
  story.bfd(`direct:${other.node}`, 'up');
  story.wait(41_000);
  answered(25);
  assert.deepEqual([...story.state.shortcuts.keys()], ['192.168.2.0/25']);
  // Nothing of it is due any more, or the same would be asked for without end.
  assert.deepEqual(story.sent('resolution-request'), []);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'direct');
});

const third = {
  ...other,
  node: nodeId('d'),
  name: nodeName('third'),
  address: address('10.9.0.12'),
  publicKey: key('T'),
};
/** Both say that they are the way to this network. */
const lan = address('192.168.2.9');
const flags = { router: true, unique: false, sourceStable: true } as const;
const length = cie({ prefixLength: 24, holdingTime: seconds(60) });
const hearRequest = (story: Story, target: typeof other): void => {
  const body = { type: 'resolution-request', ...flags, authoritativeOnly: true, cies: [length], target } as const;
  story.hear(body, { source: lan, destination: config.address });
};
const hearAnswer = (story: Story, target: typeof other): void => {
  const [request] = story.sent('resolution-request');
  const { requestId } = request ?? assert.fail('nothing was asked');
  const body = { authoritative: true, destinationStable: true, cies: [length], target } as const;
  story.hear({ type: 'resolution-reply', ...flags, ...body }, { requestId, destination: lan });
};
const held = (story: Story): string[] =>
  [...story.state.shortcuts.values()].map(({ prefix, type, node }) => `${prefix} ${type} ${node.slice(0, 1)}`);

test('what is heard in a request does not replace what was answered, but has it asked for again', () => {
  const story = joinedSpoke();
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: lan });
  hearAnswer(story, other);
  hearRequest(story, third);
  hearRequest(story, third);
  assert.deepEqual(held(story), ['192.168.2.0/24 dynamic c']);
  hearAnswer(story, third);
  assert.deepEqual(held(story), ['192.168.2.0/24 dynamic d']);
  assert.deepEqual(story.sent('resolution-request'), []);
});

test('a request of the same node leaves what was answered as it is, and prepares the tunnel', () => {
  const story = joinedSpoke();
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: lan });
  hearAnswer(story, { ...other, rendezvous: undefined });
  assert.equal(story.state.remotes.get(other.node)?.phase, 'failed');
  hearRequest(story, other);
  assert.deepEqual(held(story), ['192.168.2.0/24 dynamic c']);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'punching');
});

test('an answer replaces what was heard in a request', () => {
  const story = joinedSpoke();
  hearRequest(story, other);
  assert.deepEqual(held(story), ['192.168.2.0/24 cached c']);
  story.wait(30_000);
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: lan });
  hearAnswer(story, third);
  assert.deepEqual(held(story), ['192.168.2.0/24 dynamic d']);
});

test('what is over is replaced by anything', () => {
  const story = joinedSpoke();
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: lan });
  hearAnswer(story, other);
  story.tell({ kind: 'disconnected' });
  story.wait(61_000);
  hearRequest(story, third);
  assert.deepEqual(held(story), ['192.168.2.0/24 cached d']);
});

test('neither an own prefix nor a hub is replaced by what is heard or answered', () => {
  const story = joinedSpoke();
  const hub = config.hubs[0] ?? assert.fail();
  const body = { type: 'resolution-request', ...flags, authoritativeOnly: true, cies: [length] } as const;
  story.hear({ ...body, target: other }, { source: address('192.168.1.7'), destination: config.address });
  story.hear({ ...body, target: { ...other, node: hub.node } }, { source: lan, destination: config.address });
  assert.deepEqual(held(story), []);
});
