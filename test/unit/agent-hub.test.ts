import assert from 'node:assert/strict';
import test from 'node:test';
import { desiredHost } from '#agent/decide/desired.ts';
import { desiredBfd } from '#agent/decide/desired-bfd.ts';
import type { RegistryMessage } from '#proto/model/session.ts';
import type { Instant } from '#proto/model/time.ts';
import { address, config, endpoint, hubPeer, key, nodeId, nodeName, prefix, Story } from '#test/support/agent-story.ts';

const hubConfig = { ...config, address: address('10.9.0.1'), hubs: [], prefixes: [] };

function hub(): Story {
  const story = new Story('hub');
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  story.tell({ kind: 'message', message: { type: 'overlay-config', config: hubConfig } });
  const sync = { type: 'peer-sync', snapshot: true, upsert: [hubPeer()], remove: [], complete: true } as const;
  story.tell({ kind: 'message', message: sync });
  story.tell({ kind: 'message', message: announced('192.168.2.0/24', 'c') });
  story.effects('send');
  return story;
}

/** A change: this prefix is of this node alone. */
function announced(text: string, node: string): Extract<RegistryMessage, { type: 'route-sync' }> {
  const origins = [{ node: nodeId(node), name: nodeName('any'), preference: 0 }];
  return {
    type: 'route-sync',
    snapshot: false,
    upsert: [{ prefix: prefix(text), origins }],
    remove: [],
    complete: true,
  };
}

test("a hub carries a spoke's prefixes by its hub tunnel, and only its link address by the reflector", () => {
  const peers = desiredHost(hub().state).interfaces.get('dmwg0')?.peers;
  assert.deepEqual([...(peers?.get(key('P'))?.allowedIps ?? [])].slice(0, 2), ['10.9.0.11/32', '192.168.2.0/24']);
  assert.equal(peers?.get(key('P'))?.allowedIps.size, 3);
  assert.equal(peers.get(key('O'))?.allowedIps.size, 1);
});

test('a hub routes the summaries out of its one interface and waits for BFD', () => {
  const story = hub();
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg0', '192.168.0.0/16 dmwg0']);
  assert.deepEqual(story.paths(), [`spoke:${nodeId('c')}`]);
});

test('a snapshot in parts replaces the peers only when it is complete', () => {
  const story = hub();
  const peer = { ...hubPeer(), node: nodeId('d') };
  const part = { type: 'peer-sync', remove: [] } as const;
  story.tell({ kind: 'message', message: { ...part, snapshot: true, upsert: [peer], complete: false } });
  assert.deepEqual([...(story.state.hub.peers?.keys() ?? [])], [nodeId('c')]);
  story.tell({ kind: 'message', message: { ...part, snapshot: false, upsert: [], complete: true } });
  assert.deepEqual([...(story.state.hub.peers?.keys() ?? [])], [nodeId('d')]);
  story.tell({
    kind: 'message',
    message: { ...part, snapshot: false, upsert: [], remove: [nodeId('d')], complete: true },
  });
  assert.equal(story.state.hub.peers?.size, 0);
});

test('a peer that the registry does not know any more stays, until it is said to be gone or another has its address', () => {
  const story = hub();
  const sync = { type: 'peer-sync', snapshot: true, upsert: [], remove: [], complete: true } as const;
  const peers = () => [...(story.state.hub.peers?.keys() ?? [])];
  story.tell({ kind: 'message', message: sync });
  assert.deepEqual(peers(), [nodeId('c')]);
  const other = { ...hubPeer(), node: nodeId('d'), interfaces: [] };
  story.tell({ kind: 'message', message: { ...sync, upsert: [{ ...other, address: address('10.9.0.99') }] } });
  assert.deepEqual(peers(), [nodeId('c'), nodeId('d')]);
  story.tell({ kind: 'message', message: { ...sync, remove: [nodeId('d')] } });
  assert.deepEqual(peers(), [nodeId('c')]);
  story.tell({ kind: 'message', message: { ...sync, upsert: [other] } });
  assert.deepEqual(peers(), [nodeId('d')]);
});

test('the endpoints of reflectors are reported when they change, and again in a new session', () => {
  const story = hub();
  const report = (port: number): unknown => {
    const peers = new Map([
      [key('O'), { endpoint: endpoint(`198.51.100.7:${String(port)}`), rxBytes: 1 }],
      [key('P'), { endpoint: endpoint('198.51.100.7:3'), rxBytes: 1 }],
    ]);
    story.tell({ kind: 'peers', interface: 'dmwg0', peers });
    return story
      .effects('send')
      .flatMap(({ message }) => (message.type === 'observed-endpoints' ? message.endpoints : []));
  };
  assert.deepEqual(report(1), [{ publicKey: key('O'), endpoint: '198.51.100.7:1' }]);
  assert.deepEqual(report(1), []);
  assert.deepEqual(report(2), [{ publicKey: key('O'), endpoint: '198.51.100.7:2' }]);
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  assert.deepEqual(report(2), [{ publicKey: key('O'), endpoint: '198.51.100.7:2' }]);
});

test('a hub indicates in phase 3 only, and never multicast or what is for itself', () => {
  const indicated = (phase: 1 | 3, destination: string): number => {
    const story = hub();
    story.tell({ kind: 'message', message: { type: 'overlay-config', config: { ...hubConfig, phase } } });
    const pair = { source: address('10.9.0.10'), destination: address(destination), head: new Uint8Array() };
    story.tell({ kind: 'indication', ...pair });
    return story.sent('traffic-indication').length;
  };
  assert.equal(indicated(3, '10.9.0.11'), 1);
  assert.equal(indicated(1, '10.9.0.11'), 0);
  assert.equal(indicated(3, '224.0.0.5'), 0);
  assert.equal(indicated(3, '10.9.0.1'), 0);
});

test('when one spoke changes, what was made of the others is used again', () => {
  const story = hub();
  const sync = { type: 'peer-sync', snapshot: false, remove: [], complete: true } as const;
  const other = { ...hubPeer(), node: nodeId('d'), interfaces: [] };
  story.tell({ kind: 'message', message: { ...sync, upsert: [other] } });
  const made = () => ({
    peer: desiredHost(story.state).interfaces.get('dmwg0')?.peers.get(key('P')),
    session: desiredBfd(story.state, 0 as Instant).get(`spoke:${nodeId('c')}`),
  });
  const before = made();
  assert.ok(before.peer && before.session);
  story.tell({ kind: 'message', message: announced('10.7.0.0/16', 'd') });
  assert.equal(made().peer, before.peer);
  assert.equal(made().session, before.session);
  story.tell({ kind: 'message', message: announced('10.8.0.0/16', 'c') });
  assert.ok(made().peer?.allowedIps.has(prefix('10.8.0.0/16')));
  const slower = { ...hubConfig, bfdMultiplier: 5 };
  story.tell({ kind: 'message', message: { type: 'overlay-config', config: slower } });
  assert.equal(made().session?.multiplier, 5);
});
