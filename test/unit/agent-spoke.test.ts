import assert from 'node:assert/strict';
import test from 'node:test';
import { type Instant, seconds } from '#proto/model/time.ts';
import {
  address,
  config,
  directSpoke,
  endpoint,
  hubs,
  joinedSpoke,
  key,
  nodeId,
  other,
  prefix,
  reply,
  resolve,
  Story,
} from '#test/support/agent-story.ts';

const viaHub = ['10.9.0.0/24 dmwg-h1', '192.168.0.0/16 dmwg-h1'];
const shortcut = '10.9.0.11/32 dmwg0';

test('a spoke registers its address, interfaces and prefixes once its keys are there', () => {
  const story = new Story('spoke');
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  story.tell({ kind: 'message', message: { type: 'overlay-config', config } });
  const requests = story.sent('registration-request');
  assert.deepEqual(
    requests.map(({ body }) => [
      body.unique,
      body.cies.map((cie) => `${cie.protocolAddress ?? ''}/${String(cie.prefixLength)}`),
    ]),
    [
      [true, ['10.9.0.10/255']],
      [false, ['192.168.1.0/24']],
    ],
  );
  assert.deepEqual(
    requests[0]?.body.interfaces.map((own) => [own.kind, own.hub]),
    [
      ['multipoint', undefined],
      ['hub-tunnel', nodeId('a')],
    ],
  );
});

test('an unanswered registration is repeated with its request id, an answered one refreshed at a third of the holding time', () => {
  const story = new Story('spoke');
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  story.tell({ kind: 'message', message: { type: 'overlay-config', config } });
  const first = story.sent('registration-request').map((message) => message.requestId);
  story.wait(1100);
  assert.deepEqual(
    story.sent('registration-request').map((message) => message.requestId),
    first,
  );
  for (const requestId of first) {
    story.hear({ type: 'registration-reply', unique: true, cies: [], observedEndpoint: undefined }, { requestId });
  }
  story.wait(2_100_000);
  assert.deepEqual(story.sent('registration-request'), []);
  story.wait(300_000);
  // Not answered, so repeated, too.
  const refreshed = new Set(story.sent('registration-request').map((message) => message.requestId));
  assert.equal(refreshed.size, 2);
  assert.ok(first.every((id) => !refreshed.has(id)));
});

test('everything goes to the hub, whether its agent answers or not', () => {
  const story = joinedSpoke();
  assert.deepEqual(story.routes(), viaHub);
  story.bfd(`hub:${nodeId('a')}`, 'down');
  assert.deepEqual(story.routes(), viaHub);
});

test('of two hubs the better one carries the traffic, and the other one takes over', () => {
  const story = joinedSpoke({ ...config, hubs });
  // What belongs to a hub itself goes by its own tunnel.
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg-h1', '10.9.0.2/32 dmwg-h2', '192.168.0.0/16 dmwg-h1']);
  story.bfd(`hub:${nodeId('a')}`, 'down');
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg-h2', '192.168.0.0/16 dmwg-h2']);
  story.bfd(`hub:${nodeId('b')}`, 'down');
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg-h2', '192.168.0.0/16 dmwg-h2']);
  story.bfd(`hub:${nodeId('a')}`, 'up');
  assert.deepEqual(story.routes(), viaHub);
});

test('a hub tunnel by which nothing arrives is made anew; one whose packets arrive is left alone', () => {
  const story = joinedSpoke();
  story.bfd(`hub:${nodeId('a')}`, 'down');
  story.effects('replace-peer');
  const look = (rxBytes: number): void => {
    const peers = new Map([[key('H'), { endpoint: endpoint('192.0.2.1:51820'), rxBytes }]]);
    story.tell({ kind: 'peers', interface: 'dmwg-h1', peers });
  };
  look(1000);
  look(1100);
  assert.deepEqual(story.effects('replace-peer'), []);
  look(1100);
  assert.deepEqual(
    story.effects('replace-peer').map((effect) => effect.interface),
    ['dmwg-h1'],
  );
  story.bfd(`hub:${nodeId('a')}`, 'up');
  // The hub may have lost that session, too.
  assert.deepEqual(
    story.effects('replace-peer').map((effect) => effect.interface),
    ['dmwg0'],
  );
  look(1100);
  assert.deepEqual(story.effects('replace-peer'), []);
});

test('a resolved pair: the peer comes at once, BFD at the rendezvous, the route when BFD is Up', () => {
  const story = joinedSpoke();
  resolve(story, other);
  assert.deepEqual(story.peers('dmwg0'), [key('H'), key('O')]);
  assert.deepEqual(story.paths(), [`hub:${nodeId('a')}`]);
  assert.deepEqual(story.routes(), viaHub);
  story.wait(20);
  assert.deepEqual(story.paths(), [`hub:${nodeId('a')}`, `direct:${nodeId('c')}`]);
  story.bfd(`direct:${nodeId('c')}`, 'init');
  assert.deepEqual(story.routes(), viaHub);
  story.bfd(`direct:${nodeId('c')}`, 'up');
  assert.deepEqual(story.routes(), [...viaHub, shortcut].sort());
});

test('each round makes the peer anew; after the last one the pair stays on the hub and is left alone for a while', () => {
  const story = joinedSpoke();
  resolve(story, other);
  story.wait(320);
  assert.equal(story.effects('replace-peer').length, 1);
  story.wait(300);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'failed');
  assert.match(story.state.remotes.get(other.node)?.reason ?? '', /no packet came through from 198\.51\.100\.7:20001/);
  assert.deepEqual(story.peers('dmwg0'), [key('H')]);
  const indicate = (): number => {
    story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
    return story.sent('resolution-request').length;
  };
  assert.equal(indicate(), 0);
  story.wait(5100);
  assert.equal(indicate(), 1);
});

test('a round counts from when a slow host has done it', () => {
  const story = joinedSpoke();
  resolve(story, other);
  const attempt = (): unknown => story.state.remotes.get(other.node)?.phase;
  const pass = (took: number): void => {
    const began = story.now as Instant;
    story.now += took;
    story.tell({ kind: 'late', pass: { began, decided: began } });
  };
  pass(2000);
  assert.equal(story.effects('replace-peer').length, 0);
  story.wait(300);
  assert.equal(story.effects('replace-peer').length, 1);
  pass(2000);
  story.wait(280);
  assert.equal(attempt(), 'punching');
  // A pass that carries out no round puts none off.
  story.now += 1;
  pass(30);
  assert.equal(attempt(), 'failed');
});

test('a lost direct path: the route goes, the peer stays, and BFD brings it back', () => {
  const story = directSpoke();
  story.bfd(`direct:${nodeId('c')}`, 'down');
  assert.deepEqual(story.routes(), viaHub);
  assert.deepEqual(story.peers('dmwg0'), [key('H'), key('O')]);
  story.bfd(`direct:${nodeId('c')}`, 'up');
  assert.deepEqual(story.routes(), [...viaHub, shortcut].sort());
});

test('a lost path is given up when nothing arrives any more, but not while packets do', () => {
  const story = directSpoke();
  story.bfd(`direct:${nodeId('c')}`, 'down');
  let rxBytes = 0;
  const minute = (growth: number): void => {
    for (let second = 0; second < 60; second += 1) {
      story.wait(1000);
      rxBytes += growth;
      const peers = new Map([[key('O'), { endpoint: undefined, rxBytes }]]);
      if (story.effects('inspect-peers').length > 0) story.tell({ kind: 'peers', interface: 'dmwg0', peers });
    }
  };
  minute(100);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'recovering');
  minute(0);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'failed');
});

test('when the other end closes, the route goes at once and the peer a little later', () => {
  const story = directSpoke();
  story.bfd(`direct:${nodeId('c')}`, 'down', 'admin-down');
  assert.deepEqual(story.routes(), viaHub);
  assert.deepEqual(story.peers('dmwg0'), [key('H'), key('O')]);
  story.wait(3100);
  assert.deepEqual(story.peers('dmwg0'), [key('H')]);
});

test('an unused shortcut goes after the idle timeout, a used one stays', () => {
  const story = directSpoke();
  story.wait(50_000);
  assert.ok(story.effects('inspect-activity').length >= 3);
  story.tell({ kind: 'activity', addresses: [address('10.9.0.11')] });
  story.wait(40_000);
  story.tell({ kind: 'activity', addresses: [] });
  assert.deepEqual(story.routes(), [...viaHub, shortcut].sort());
  story.wait(30_000);
  story.tell({ kind: 'activity', addresses: [] });
  assert.deepEqual(story.routes(), viaHub);
});

test('a NAK is remembered: no further request for its holding time', () => {
  const story = joinedSpoke();
  const ask = (): number | undefined => {
    story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
    return story.sent('resolution-request')[0]?.requestId;
  };
  reply(story, ask() ?? 0, undefined, 12);
  assert.equal(ask(), undefined);
  story.wait(30_100);
  assert.notEqual(ask(), undefined);
});

test('a reply that nobody asked for is answered with error 10 and changes nothing', () => {
  const story = joinedSpoke();
  reply(story, 4711, other);
  assert.equal(story.sent('error-indication')[0]?.body.code, 10);
  assert.equal(story.state.shortcuts.size, 0);
});

test('a shortcut is never wider than the route that it replaces, nor over what is our own', () => {
  for (const [at, length] of [
    ['172.16.0.1', 12],
    ['192.168.1.9', 24],
  ] as const) {
    const story = joinedSpoke();
    story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: address('10.9.0.11') });
    const id = story.sent('resolution-request')[0]?.requestId ?? 0;
    const cie = {
      code: 0,
      prefixLength: length,
      mtu: 0,
      holdingTime: seconds(60),
      nbma: [],
      protocolAddress: address(at),
      preference: 0,
    };
    const flags = { router: true, authoritative: true, destinationStable: true, unique: false, sourceStable: true };
    story.hear({ type: 'resolution-reply', ...flags, cies: [cie], target: other }, { requestId: id });
    assert.equal(story.state.shortcuts.size, 0, at);
  }
});

test('a purge takes the shortcut away, and is acknowledged', () => {
  const story = directSpoke();
  const cie = {
    code: 0,
    prefixLength: 24,
    mtu: 0,
    holdingTime: seconds(0),
    nbma: [],
    protocolAddress: address('10.9.0.0'),
    preference: 0,
  };
  story.hear({ type: 'purge-request', noReply: false, cies: [cie] }, { requestId: 77 });
  assert.deepEqual(story.routes(), viaHub);
  assert.equal(story.sent('purge-reply')[0]?.requestId, 77);
});

test('a peer that is closing and wanted again stays as it is while the other end may still send by it', () => {
  const story = directSpoke();
  story.tell({ kind: 'bfd', path: `direct:${other.node}`, state: 'down', remoteState: 'admin-down' });
  story.effects('replace-peer');
  resolve(story, other);
  story.wait(2000);
  assert.deepEqual(story.effects('replace-peer'), []);
  story.wait(2000);
  assert.ok(story.effects('replace-peer').length > 0);
});

test('the node that is asked for prepares its side by the request alone', () => {
  const story = joinedSpoke();
  const cie = {
    code: 0,
    prefixLength: 24,
    mtu: 0,
    holdingTime: seconds(7200),
    nbma: [],
    protocolAddress: address('192.168.2.0'),
    preference: 0,
  };
  const flags = { router: true, authoritativeOnly: false, unique: false, sourceStable: true };
  story.hear(
    { type: 'resolution-request', ...flags, cies: [cie], target: other },
    { source: address('192.168.2.7'), destination: address('192.168.1.5') },
  );
  story.wait(25);
  story.bfd(`direct:${nodeId('c')}`, 'up');
  assert.deepEqual([...story.state.shortcuts.keys()], [prefix('192.168.2.0/24')]);
  assert.ok(story.routes().includes('192.168.2.0/24 dmwg0'));
});

test('without the registry nothing expires; with it, what is in use is asked for again', () => {
  const story = directSpoke();
  story.tell({ kind: 'disconnected' });
  for (let hour = 0; hour < 4; hour += 1) {
    story.wait(3_600_000);
    story.tell({ kind: 'activity', addresses: [address('10.9.0.11')] });
  }
  assert.ok(story.routes().includes(shortcut));
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  assert.equal(story.sent('resolution-request').length, 1);
});

test('in phase 1 nothing is resolved', () => {
  const story = joinedSpoke({ ...config, phase: 1 });
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
  assert.deepEqual(story.sent('resolution-request'), []);
});

test('a revoked node keeps nothing of the overlay', () => {
  const story = directSpoke();
  story.tell({ kind: 'revoked', detail: 'revoked by the operator' });
  assert.deepEqual(story.routes(), []);
  assert.deepEqual(story.paths(), []);
});

test('on another network what failed is tried again at once', () => {
  const story = joinedSpoke();
  resolve(story, other);
  story.wait(1000);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'failed');
  story.tell({ kind: 'local-addresses', addresses: [address('192.0.2.99')] });
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: other.address });
  assert.equal(story.sent('resolution-request').length, 1);
});

test('in phase 2 the spoke resolves by itself what leaves by a hub tunnel', () => {
  const story = joinedSpoke({ ...config, phase: 2 });
  const notice = (source: string, destination: string): number => {
    const pair = { source: address(source), destination: address(destination), head: new Uint8Array() };
    story.tell({ kind: 'indication', ...pair });
    return story.sent('resolution-request').length;
  };
  assert.equal(notice('192.168.1.7', '10.9.0.11'), 1);
  assert.equal(notice('192.168.1.7', '10.9.0.11'), 0, 'incomplete');
  assert.equal(notice('10.9.0.10', '10.9.0.1'), 0, 'a hub');
  assert.equal(notice('10.9.0.99', '10.9.0.12'), 0, 'not our own');
  assert.equal(notice('10.9.0.10', '224.0.0.5'), 0, 'multicast');
});

test('a change to phase 1 takes the shortcuts away, and leaves the peers until the other end knows', () => {
  const story = directSpoke();
  story.tell({ kind: 'message', message: { type: 'overlay-config', config: { ...config, phase: 1 } } });
  assert.deepEqual(story.routes(), viaHub);
  assert.deepEqual(story.peers('dmwg0'), [key('H'), key('O')]);
});

test('a binding with little time left is not asked for again at once', () => {
  const story = directSpoke();
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: address('10.9.0.12') });
  const id = story.sent('resolution-request')[0]?.requestId ?? 0;
  reply(story, id, { ...other, address: address('10.9.0.12') }, 0, 5);
  story.wait(1000);
  assert.deepEqual(story.sent('resolution-request'), []);
});

test('a registry short of resources is asked again soon, and keeps what was cached', () => {
  const story = new Story('spoke');
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  story.tell({ kind: 'message', message: { type: 'overlay-config', config } });
  const cie = {
    code: 5,
    prefixLength: 255,
    mtu: 0,
    holdingTime: seconds(0),
    nbma: [],
    protocolAddress: config.address,
    preference: 0,
  };
  for (const { requestId } of story.sent('registration-request')) {
    story.hear({ type: 'registration-reply', unique: true, cies: [cie], observedEndpoint: undefined }, { requestId });
  }
  story.wait(5100);
  assert.equal(story.sent('registration-request').length, 2);
});

test('a hub with another key is not Up until its new session is', () => {
  const story = joinedSpoke({ ...config, hubs });
  const rekeyed = hubs.map((hub, index) => (index === 0 ? { ...hub, publicKey: key('J') } : hub));
  story.tell({ kind: 'message', message: { type: 'overlay-config', config: { ...config, hubs: rekeyed } } });
  assert.equal(story.state.hubs.get(nodeId('a'))?.bfd, 'down');
  assert.deepEqual(story.routes(), ['10.9.0.0/24 dmwg-h2', '192.168.0.0/16 dmwg-h2']);
});

test('a shortcut never takes the network that this host is in', () => {
  const story = directSpoke();
  story.tell({ kind: 'local-addresses', addresses: [address('192.168.2.33')] });
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: address('192.168.2.7') });
  const id = story.sent('resolution-request')[0]?.requestId ?? 0;
  const cie = {
    code: 0,
    prefixLength: 24,
    mtu: 0,
    holdingTime: seconds(600),
    nbma: [],
    protocolAddress: other.address,
    preference: 0,
  };
  const flags = { router: true, authoritative: true, destinationStable: true, unique: false, sourceStable: true };
  story.hear({ type: 'resolution-reply', ...flags, cies: [cie], target: other }, { requestId: id });
  assert.deepEqual(story.routes(), [...viaHub, shortcut].sort());
});

test('what expired while the registry was away stays until the registry has answered', () => {
  const story = directSpoke();
  story.tell({ kind: 'disconnected' });
  story.wait(10_000_000);
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  assert.ok(story.routes().includes(shortcut));
  const [request] = story.sent('resolution-request');
  reply(story, request?.requestId ?? 0, other);
  story.wait(70_000);
  assert.ok(story.routes().includes(shortcut));
});

test('the same addresses in another order are no other network', () => {
  const story = joinedSpoke();
  const addresses = [address('46.4.1.2'), address('2001:db8::1')];
  story.tell({ kind: 'local-addresses', addresses });
  const before = story.state;
  story.tell({ kind: 'local-addresses', addresses: addresses.toReversed() });
  assert.equal(story.state, before);
});

test('a peer that was heard is not made anew, as the other end may already send that way', () => {
  const story = joinedSpoke();
  resolve(story, other);
  story.wait(25);
  story.bfd(`direct:${nodeId('c')}`, 'init', 'down');
  story.wait(2000);
  assert.deepEqual(story.effects('replace-peer'), []);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'punching');
  story.bfd(`direct:${nodeId('c')}`, 'down');
  story.wait(700);
  assert.equal(story.effects('replace-peer').length, 1);
  assert.equal(story.state.remotes.get(other.node)?.phase, 'failed');
});
