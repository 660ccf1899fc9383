// The other end of a direct tunnel is at another place.
import assert from 'node:assert/strict';
import test from 'node:test';
import { uniquePrefixLength, type Target } from '#proto/model/nhrp.ts';
import { milliseconds, seconds } from '#proto/model/time.ts';
import {
  config,
  directSpoke,
  endpoint,
  joinedSpoke,
  key,
  other,
  resolve,
  type Story,
} from '#test/support/agent-story.ts';

const before = endpoint('198.51.100.7:20001');
const after = endpoint('203.0.113.9:40000');
const moved: Target = {
  ...other,
  rendezvous: { startAfter: milliseconds(0), round: milliseconds(300), rounds: [after, after] },
};

/** The registry says where the other end is. */
function introduce(story: Story, target: Target): void {
  const cie = {
    code: 0,
    prefixLength: uniquePrefixLength,
    mtu: 1420,
    holdingTime: seconds(7200),
    nbma: target.rendezvous?.rounds.slice(0, 1) ?? [],
    protocolAddress: other.address,
    preference: 0,
  };
  const flags = { router: true, authoritativeOnly: false, unique: false, sourceStable: true };
  story.hear(
    { type: 'resolution-request', ...flags, cies: [cie], target },
    { source: other.address, destination: config.address },
  );
}

/** Every look in the next moments finds this: bytes as they came, and the endpoint that WireGuard has. */
function looks(
  story: Story,
  spans: number,
  seen: (look: number) => { rxBytes: number; endpoint: typeof before },
): unknown[] {
  const moves: unknown[] = [];
  for (let look = 0; look < spans; look++) {
    for (const { interface: name } of story.effects('inspect-peers'))
      story.tell({ kind: 'peers', interface: name, peers: new Map([[key('O'), seen(look)]]) });
    moves.push(...story.effects('move-peer').map((effect) => effect.endpoint));
    story.wait(100);
  }
  return moves;
}

test('a peer by which nothing arrives any more follows to its new place, and keeps its session', () => {
  const story = directSpoke();
  introduce(story, moved);
  story.effects('kick');
  assert.deepEqual(
    looks(story, 4, () => ({ rxBytes: 500, endpoint: before })),
    [],
  );
  assert.deepEqual(
    looks(story, 6, () => ({ rxBytes: 500, endpoint: before })),
    [after],
  );
  assert.equal(story.effects('kick').length, 1, 'it hears from us at once');
  assert.deepEqual(story.effects('replace-peer'), []);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'direct');
  looks(story, 20, () => ({ rxBytes: 900, endpoint: after }));
  assert.equal(story.state.remotes.get(other.node)?.search, undefined);
});

test('a peer whose packets arrive is left where WireGuard has it', () => {
  const story = directSpoke();
  introduce(story, moved);
  assert.deepEqual(
    looks(story, 20, (look) => ({ rxBytes: 500 + look, endpoint: before })),
    [],
  );
  assert.equal(story.state.remotes.get(other.node)?.search, undefined);
});

test('what the registry said before is no news', () => {
  const story = directSpoke();
  introduce(story, moved);
  looks(story, 20, (look) => ({ rxBytes: look, endpoint: after }));
  story.effects('inspect-peers');
  introduce(story, moved);
  assert.deepEqual(story.effects('inspect-peers'), []);
});

test('a lost path follows, too, and what was given up is tried anew at once', () => {
  const lost = directSpoke();
  lost.bfd(`direct:${other.node}`, 'down');
  introduce(lost, moved);
  assert.deepEqual(
    looks(lost, 10, () => ({ rxBytes: 500, endpoint: before })),
    [after],
  );
  assert.equal(lost.state.remotes.get(other.node)?.phase, 'recovering');

  const failed = joinedSpoke();
  resolve(failed, other);
  failed.wait(1000);
  assert.equal(failed.state.remotes.get(other.node)?.phase, 'failed');
  introduce(failed, moved);
  assert.equal(failed.state.remotes.get(other.node)?.phase, 'punching');
});

test('who loses a direct path, or is on another network, lets the hubs see where it is', () => {
  const story = directSpoke();
  const greeted = (): string[] => story.effects('replace-peer').map((effect) => effect.publicKey);
  greeted();
  story.bfd(`direct:${other.node}`, 'down');
  assert.deepEqual(greeted(), [key('H')]);
  story.tell({ kind: 'local-addresses', addresses: ['192.0.2.77' as never] });
  assert.deepEqual(greeted(), [key('H')]);
});

test('on another network what works goes on from there: peers are told again where the others are', () => {
  const story = directSpoke();
  story.effects('move-peer');
  story.tell({ kind: 'local-addresses', addresses: ['192.0.2.77' as never] });
  const told = story.effects('move-peer');
  assert.deepEqual(
    told.map((effect) => [effect.interface, effect.publicKey, effect.endpoint]),
    [
      ['dmwg-h1', key('H'), 'where it is'],
      ['dmwg0', other.publicKey, 'where it is'],
    ],
  );
});
