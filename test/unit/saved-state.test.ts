import assert from 'node:assert/strict';
import test from 'node:test';
import { savedStateFormat } from '#agent/saved-state.ts';
import type { Saved } from '#agent/decide/restore.ts';
import type { Prefix } from '#proto/model/address.ts';
import type { NodeId, NodeName } from '#proto/model/names.ts';
import { address, hubPeer, other, prefix } from '#test/support/agent-story.ts';

/** Of a spoke before its first configuration: most is missing, and stays out of the file. */
const bare: Saved = {
  interfacePrefix: 'dmwg',
  nextRequestId: 7,
  config: undefined,
  activeHub: '0123456789abcdef' as NodeId,
  tunnels: ['0123456789abcdef' as NodeId],
  interfaces: [
    { name: 'dmwg0', kind: 'multipoint', hub: undefined, uplink: undefined, listenPort: 20_001, publicKey: undefined },
    {
      name: 'dmwg-h1',
      kind: 'hub-tunnel',
      hub: '0123456789abcdef' as NodeId,
      uplink: undefined,
      listenPort: 20_002,
      publicKey: undefined,
    },
  ],
  shortcuts: [],
  peers: undefined,
  routes: undefined,
  registries: [],
  carriers: [],
  uplinks: [],
};

test('what is saved without a configuration and without peers is read back', () => {
  const content: unknown = JSON.parse(JSON.stringify(savedStateFormat.format(bare)));
  assert.deepEqual(savedStateFormat.parse(content), { ok: true, value: bare });
});

test('shortcuts are read back, those that were answered and those that were heard of', () => {
  const [source, destination] = [address('10.9.0.10'), address('192.168.2.9')];
  const shortcut = { prefix: prefix('192.168.2.0/24'), source, destination, target: other } as const;
  const shortcuts = [
    { ...shortcut, type: 'dynamic' },
    { ...shortcut, type: 'cached' },
  ] as const;
  const content: unknown = JSON.parse(JSON.stringify(savedStateFormat.format({ ...bare, shortcuts })));
  assert.deepEqual(savedStateFormat.parse(content), { ok: true, value: { ...bare, shortcuts } });
});

test('the peers of a hub are read back, also when there are none', () => {
  const hub: Saved = { ...bare, interfaces: [], peers: [] };
  const content: unknown = JSON.parse(JSON.stringify(savedStateFormat.format(hub)));
  assert.deepEqual(savedStateFormat.parse(content), { ok: true, value: hub });
});

test('learned routes are read back', () => {
  const origins = [{ node: '0123456789abcdef' as NodeId, name: 'branch' as NodeName, preference: 200 }];
  const spoke: Saved = { ...bare, routes: [{ prefix: '10.7.0.0/16' as Prefix, origins }] };
  const content: unknown = JSON.parse(JSON.stringify(savedStateFormat.format(spoke)));
  assert.deepEqual(savedStateFormat.parse(content), { ok: true, value: spoke });
});

test('more peers than one message may carry are read back', () => {
  const peers = Array.from({ length: 5000 }, (_, index) => {
    return { ...hubPeer(), node: index.toString(16).padStart(16, '0') as NodeId };
  });
  const hub: Saved = { ...bare, interfaces: [], peers };
  const content: unknown = JSON.parse(JSON.stringify(savedStateFormat.format(hub)));
  const parsed = savedStateFormat.parse(content);
  assert.ok(parsed.ok);
  assert.equal(parsed.value.peers?.length, 5000);
  assert.deepEqual(parsed.value.peers.at(-1), peers.at(-1));
});
