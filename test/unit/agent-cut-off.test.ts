// A router that no hub answers, at a site with another one.
import assert from 'node:assert/strict';
import test from 'node:test';
import { defaultRouting } from '#proto/model/routing.ts';
import { hubs, joinedSpoke, nodeId, nodeName, type Story } from '#test/support/agent-story.ts';

const hub = `hub:${nodeId('a')}` as const;

function router(site: readonly string[]): Story {
  const story = joinedSpoke();
  story.tell({ kind: 'configured', routing: { ...defaultRouting, site: site.map(nodeName) }, exit: undefined });
  return story;
}

/** What the agent sees of the hub's peer, whenever it looks. */
function look(story: Story, rxBytes: (second: number) => number): void {
  const publicKey = hubs[0]?.publicKey;
  assert.ok(publicKey);
  for (let count = 0; count < 12; count++) {
    const peers = new Map([[publicKey, { endpoint: undefined, rxBytes: rxBytes(count) }]]);
    story.tell({ kind: 'peers', interface: 'dmwg-h1', peers });
    story.wait(300);
  }
}

const summaries = ['10.9.0.0/24 dmwg-h1', '192.168.0.0/16 dmwg-h1'];

test('its routes go when nothing arrives any more, and come back with the hub', () => {
  const story = router(['r2']);
  assert.deepEqual(story.routes(), summaries);
  story.bfd(hub, 'down');
  assert.deepEqual(story.routes(), summaries, 'not because of BFD alone');
  look(story, () => 5000);
  assert.deepEqual(story.routes(), []);
  story.bfd(hub, 'up');
  assert.deepEqual(story.routes(), summaries);
});

test('they stay while something arrives, as from a hub whose agent is away; and where there is no other router', () => {
  const away = router(['r2']);
  away.bfd(hub, 'down');
  look(away, (count) => 5000 + 100 * count);
  assert.deepEqual(away.routes(), summaries);
  const alone = router([]);
  alone.bfd(hub, 'down');
  look(alone, () => 5000);
  assert.deepEqual(alone.routes(), summaries);
});
