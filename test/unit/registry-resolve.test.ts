import assert from 'node:assert/strict';
import test from 'node:test';
import {
  cieCode,
  errorCode,
  type NhrpMessage,
  type ResolutionReply,
  type ResolutionRequest,
} from '#proto/model/nhrp.ts';
import { milliseconds } from '#proto/model/time.ts';
import { resolve, type ResolutionOutcome } from '#registry/decide/resolve.ts';
import type { Put } from '#registry/decide/state.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  at,
  bindingRecord,
  cie,
  endpoint,
  enrolled,
  multipoint,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
  publicKey,
  resolution,
} from '#test/support/registry-fixtures.ts';

const asker = nodeRecord(1);
const target = nodeRecord(2, { prefixes: [prefix('10.1.0.0/16')] });
const inner = nodeRecord(3, { prefixes: [prefix('10.1.2.0/24')] });
const hub = nodeRecord(4, {
  role: 'hub',
  endpoints: [endpoint('203.0.113.1:51820')],
  prefixes: [prefix('10.4.0.0/16')],
});

const observed = (node: number, text: string) => ({
  publicKey: publicKey(`node-${String(node)}`),
  endpoint: endpoint(text),
  hub: hub.id,
});

function storeOf(overlay = overlayRecord(), ...more: Put[]): MemoryStore {
  const store = createMemoryStore();
  const bindings = [
    bindingRecord(1, {
      interfaces: [multipoint('node-1', ['192.168.1.10:1001'])],
      observed: [observed(1, '198.51.100.1:2001')],
    }),
    bindingRecord(2, {
      interfaces: [multipoint('node-2', ['192.168.2.10:1002'])],
      observed: [observed(2, '198.51.100.2:2002')],
      prefixes: target.prefixes,
    }),
    bindingRecord(3, { prefixes: inner.prefixes, unique: false }),
    bindingRecord(4, { interfaces: [multipoint('node-4', ['203.0.113.1:51820'])], prefixes: hub.prefixes }),
  ];
  const nodes = [asker, target, inner, hub].flatMap((node, index) => enrolled(node, bindings[index]));
  store.force({ put: [{ kind: 'overlay', record: overlay }, ...nodes, ...more] });
  return store;
}

const context = { now: at(10_000), askerRtt: milliseconds(10), targetRtt: milliseconds(50) };

function ask(store: MemoryStore, request: NhrpMessage<ResolutionRequest>, parts = {}): ResolutionOutcome {
  return resolve(store.snapshot(), asker, request, { ...context, ...parts });
}

function replyOf(outcome: ResolutionOutcome): ResolutionReply {
  assert.ok(outcome.reply.body.type === 'resolution-reply');
  return outcome.reply.body;
}

test('a node address is answered with the binding, and both ends are told where and when to meet', () => {
  const request = resolution('10.99.0.1', '10.99.0.2');
  const outcome = ask(storeOf(), request);
  const reply = replyOf(outcome);
  assert.equal(reply.cies.length, 1);
  const [found] = reply.cies;
  assert.equal(found?.code, cieCode.ok);
  assert.equal(found.prefixLength, 0xff);
  assert.equal(found.protocolAddress, '10.99.0.2');
  assert.deepEqual(found.nbma, ['198.51.100.2:2002', '192.168.2.10:1002']);
  assert.equal(found.holdingTime, 7200);
  assert.equal(reply.authoritative, true);
  assert.equal(reply.destinationStable, true);
  assert.equal(reply.router, true);
  assert.equal(reply.sourceStable, true);
  assert.equal(outcome.reply.requestId, request.requestId);
  assert.equal(reply.target?.nat, true);
  assert.deepEqual(reply.target.rendezvous, {
    startAfter: 20,
    round: 300,
    rounds: ['198.51.100.2:2002', '198.51.100.2:2002'],
  });
  assert.equal(outcome.forward?.to, target.id);
  const forwarded = outcome.forward.message;
  assert.equal(forwarded.hopCount, request.hopCount - 1);
  assert.equal(forwarded.body.target?.node, asker.id);
  assert.equal(forwarded.body.target.publicKey, publicKey('node-1'));
  assert.deepEqual(forwarded.body.target.rendezvous, {
    startAfter: 0,
    round: 300,
    rounds: ['198.51.100.1:2001', '198.51.100.1:2001'],
  });
  assert.equal(forwarded.body.cies[0]?.protocolAddress, '10.99.0.1');
});

test('a prefix is answered as wide as no other node interrupts it', () => {
  const store = storeOf();
  const lengths = ['10.1.200.1', '10.1.3.1', '10.1.2.1'].map((destination) => {
    const reply = replyOf(ask(store, resolution('10.99.0.1', destination)));
    return [reply.target?.node, reply.cies[0]?.prefixLength];
  });
  assert.deepEqual(lengths, [
    [target.id, 17],
    [target.id, 24],
    [inner.id, 24],
  ]);
});

test('the holding time is what remains', () => {
  const store = storeOf();
  store.force({ put: [{ kind: 'binding', record: bindingRecord(2, { lostAt: at(4_000) }) }] });
  assert.equal(replyOf(ask(store, resolution('10.99.0.1', '10.99.0.2'))).cies[0]?.holdingTime, 7194);
});

test('an IPv6 address is answered alike', () => {
  const reply = replyOf(ask(storeOf(), resolution('fd99::1', 'fd99::2')));
  assert.equal(reply.cies[0]?.protocolAddress, 'fd99::2');
});

test('a slow node keeps no other waiting for longer than a second', () => {
  const outcome = ask(storeOf(), resolution('10.99.0.1', '10.99.0.2'), { targetRtt: milliseconds(300_000) });
  assert.equal(replyOf(outcome).target?.rendezvous?.startAfter, 995);
  assert.equal(outcome.forward?.message.body.target?.rendezvous?.startAfter, 0);
});

test('unless both are behind a NAT, both start at once', () => {
  const store = storeOf();
  const [own] = bindingRecord(2).interfaces;
  assert.ok(own);
  const record = bindingRecord(2, { interfaces: [{ ...own, endpoints: [endpoint('198.51.100.2:2002')] }] });
  store.force({ put: [{ kind: 'binding', record }] });
  const outcome = ask(store, resolution('10.99.0.1', '10.99.0.2'));
  assert.equal(replyOf(outcome).target?.nat, false);
  assert.equal(replyOf(outcome).target?.rendezvous?.startAfter, 0);
  assert.equal(outcome.forward?.message.body.target?.rendezvous?.startAfter, 0);
});

test('a target that is not connected is answered, and nobody is told to start', () => {
  const outcome = ask(storeOf(), resolution('10.99.0.1', '10.99.0.2'), { targetRtt: undefined });
  assert.equal(replyOf(outcome).target?.rendezvous, undefined);
  assert.equal(outcome.forward, undefined);
});

test('a hub is answered with its public endpoint, and need not be told: it has every spoke as a peer', () => {
  const outcome = ask(storeOf(), resolution('10.99.0.1', '10.4.0.1'));
  assert.deepEqual(replyOf(outcome).cies[0]?.nbma, ['203.0.113.1:51820']);
  assert.equal(outcome.forward, undefined);
});

const lost = bindingRecord(2, { lostAt: at(0), holdingTime: bindingRecord(2).holdingTime });
const refusals: readonly (readonly [string, MemoryStore, NhrpMessage<ResolutionRequest>, number, number?])[] = [
  ['an address without binding', storeOf(), resolution('10.99.0.1', '10.99.7.7'), cieCode.noBinding],
  ['an address outside the overlay', storeOf(), resolution('10.99.0.1', '8.8.8.8'), cieCode.noBinding],
  ['a multicast address', storeOf(), resolution('10.99.0.1', '224.0.0.5'), cieCode.noBinding],
  ['the asker itself', storeOf(), resolution('10.99.0.1', '10.99.0.1'), cieCode.prohibited],
  [
    'anything in phase 1',
    storeOf(overlayRecord({ phase: 1 })),
    resolution('10.99.0.1', '10.99.0.2'),
    cieCode.prohibited,
  ],
  ['U for a prefix', storeOf(), resolution('10.99.0.1', '10.1.200.1', { unique: true }), cieCode.notUnique],
  ['U for a binding without U', storeOf(), resolution('10.99.0.1', '10.99.0.3', { unique: true }), cieCode.notUnique],
  [
    'a binding whose holding time is over',
    storeOf(overlayRecord(), { kind: 'binding', record: lost }),
    resolution('10.99.0.1', '10.99.0.2'),
    cieCode.noBinding,
    7_200_000,
  ],
];

for (const [what, store, request, code, now] of refusals) {
  test(`a request for ${what} gets one CIE of code ${String(code)} and holding time 0`, () => {
    const outcome = ask(store, request, { now: at(now ?? 10_000) });
    const reply = replyOf(outcome);
    assert.deepEqual(
      reply.cies.map((one) => [one.code, one.holdingTime]),
      [[code, 0]],
    );
    assert.equal(reply.target, undefined);
    assert.equal(outcome.forward, undefined);
    assert.equal(outcome.told, undefined);
  });
}

test('a node asks for the hosts behind it, and is introduced with their network', () => {
  const network = prefix('192.168.50.0/24');
  const router = nodeRecord(1, { prefixes: [network] });
  const store = storeOf();
  store.force({
    put: enrolled(router, bindingRecord(1, { interfaces: [multipoint('node-1')], prefixes: [network] })),
  });
  const request = resolution('192.168.50.7', '10.99.0.2');
  const outcome = resolve(store.snapshot(), router, request, context);
  assert.equal(replyOf(outcome).cies[0]?.code, cieCode.ok);
  const forwarded = outcome.forward?.message;
  assert.equal(forwarded?.source, request.source);
  assert.equal(forwarded.body.cies[0]?.prefixLength, 24);
});

const plain = resolution('10.99.0.1', '10.99.0.2');
const errors: readonly (readonly [string, NhrpMessage<ResolutionRequest>, number])[] = [
  ['two CIEs', { ...plain, body: { ...plain.body, cies: [cie(), cie()] } }, errorCode.protocolError],
  [
    'U and a wider CIE',
    { ...plain, body: { ...plain.body, unique: true, cies: [cie({ prefixLength: 24 })] } },
    errorCode.protocolError,
  ],
  ['hop count 0', { ...plain, hopCount: 0 }, errorCode.hopCountExceeded],
  ["another node's source", resolution('10.99.0.3', '10.99.0.2'), errorCode.authenticationFailure],
  [
    'an unknown compulsory extension',
    { ...plain, extensions: [{ type: 1, compulsory: true, value: new Uint8Array() }] },
    errorCode.unrecognisedExtension,
  ],
];

test("a node does not ask in the name of a host whose network is another node's, inside its own", () => {
  const wide = nodeRecord(1, { prefixes: [prefix('10.0.0.0/8')] });
  const store = storeOf();
  store.force({
    put: enrolled(wide, bindingRecord(1, { interfaces: [multipoint('node-1')], prefixes: wide.prefixes })),
  });
  const codes = (): unknown[] =>
    ['10.1.2.9', '10.99.0.3', '10.7.7.7', '10.99.0.1'].map((source) => {
      const { reply, forward } = resolve(store.snapshot(), wide, resolution(source, '10.99.0.2'), context);
      assert.equal(forward === undefined, reply.body.type === 'error-indication', source);
      return reply.body.type === 'error-indication' ? reply.body.code : reply.body.cies[0]?.code;
    });
  const expected = [errorCode.authenticationFailure, errorCode.authenticationFailure, cieCode.ok, cieCode.ok];
  assert.deepEqual(codes(), expected);
  // Also while that node is away: its network stays its own.
  store.force({ delete: [{ kind: 'binding', id: inner.id }] });
  assert.deepEqual(codes(), expected);
});

for (const [what, request, code] of errors) {
  test(`a resolution request with ${what} gets error indication ${String(code)}`, () => {
    const { reply } = ask(storeOf(), request);
    assert.ok(reply.body.type === 'error-indication');
    assert.equal(reply.body.code, code);
  });
}

test('two nodes behind one public address meet on their LAN first', () => {
  const store = storeOf();
  store.force({
    put: [
      {
        kind: 'binding',
        record: bindingRecord(2, {
          interfaces: [multipoint('node-2', ['10.9.9.9:9', '192.168.1.20:1002'])],
          observed: [{ publicKey: publicKey('node-2'), endpoint: endpoint('198.51.100.1:2002'), hub: nodeId(4) }],
        }),
      },
    ],
  });
  const reply = replyOf(ask(store, resolution('10.99.0.1', '10.99.0.2')));
  assert.deepEqual(reply.target?.rendezvous?.rounds, ['192.168.1.20:1002', '198.51.100.1:2002', '198.51.100.1:2002']);
});

test('who asks from an address that it does not announce is introduced by its own', () => {
  const store = storeOf();
  const wide = { ...asker, prefixes: [prefix('10.7.0.0/16')] };
  const introduced = () => {
    const outcome = resolve(store.snapshot(), wide, resolution('10.7.0.9', '10.99.0.2'), context);
    const { source, body } = outcome.forward?.message ?? assert.fail('nobody was told');
    return [source, body.cies[0]?.prefixLength];
  };
  store.force({ put: enrolled(wide) });
  assert.deepEqual(introduced(), ['10.99.0.1', 0xff]);
  store.force({ put: [{ kind: 'binding', record: bindingRecord(1, { prefixes: wide.prefixes }) }] });
  assert.deepEqual(introduced(), ['10.7.0.9', 16]);
});
