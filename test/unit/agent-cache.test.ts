// The cache of bindings, where an answer contradicts what is cached.
import assert from 'node:assert/strict';
import test from 'node:test';
import { seconds } from '#proto/model/time.ts';
import { cie } from '#test/support/registry-fixtures.ts';
import { address, joinedSpoke, other } from '#test/support/agent-story.ts';

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
