import assert from 'node:assert/strict';
import test from 'node:test';
import { desiredHost } from '#agent/decide/desired.ts';
import { replacements } from '#agent/decide/pass.ts';
import type { BfdState } from '#agent/decide/state.ts';
import { endpoint, joinedSpoke, key, nodeId } from '#test/support/agent-story.ts';

test('a peer that was heard by now is not made anew, though the state does not know of it yet', () => {
  const { state } = joinedSpoke();
  const down = {
    ...state,
    hubs: new Map([...state.hubs].map(([node, path]) => [node, { ...path, bfd: 'down' }] as const)),
  };
  const host = { desired: desiredHost(down), picture: desiredHost(down) };
  const effects = [
    { kind: 'replace-peer', interface: 'dmwg-h1', publicKey: key('H'), endpoint: endpoint('192.0.2.9:1') },
  ] as const;
  const kinds = (bfd: BfdState | undefined): string[] =>
    replacements(down, host, effects, (path) => (path === `hub:${nodeId('a')}` ? bfd : undefined)).map(
      ({ kind }) => kind,
    );
  assert.deepEqual(kinds(undefined), ['replace-peer']);
  assert.deepEqual(kinds('down'), ['replace-peer']);
  assert.deepEqual(kinds('up'), []);
});
