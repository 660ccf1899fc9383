import assert from 'node:assert/strict';
import test from 'node:test';
import { cieCode, errorCode, type NhrpMessage, type RegistrationRequest } from '#proto/model/nhrp.ts';
import { seconds } from '#proto/model/time.ts';
import { announcedBy } from '#registry/decide/node.ts';
import { register, type RegistrationOutcome } from '#registry/decide/register.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  address,
  announcement,
  at,
  bindingRecord,
  cie,
  endpoint,
  enrolled,
  hubTunnel,
  message,
  multipoint,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
  publicKey,
  registration,
} from '#test/support/registry-fixtures.ts';

const one = nodeRecord(1, { prefixes: [prefix('10.1.0.0/16')] });
const two = nodeRecord(2, { prefixes: [prefix('10.1.2.0/24')] });
const context = { now: at(5000), agentVersion: 'test' };

function storeOf(): MemoryStore {
  const store = createMemoryStore();
  store.force({
    put: [{ kind: 'overlay', record: overlayRecord() }, ...enrolled(one), ...enrolled(two, bindingRecord(2))],
  });
  return store;
}

function codes({ reply: { body } }: RegistrationOutcome): number[] {
  assert.ok(body.type === 'registration-reply');
  return body.cies.map((each) => each.code);
}

async function apply(store: MemoryStore, request: NhrpMessage<RegistrationRequest>): Promise<number[]> {
  const outcome = register(store.snapshot(), one, request, context);
  if (outcome.transaction) assert.ok((await store.commit(outcome.transaction)).ok);
  return codes(outcome);
}

test('a registration binds addresses, interfaces and prefixes; the same again writes nothing', async () => {
  const store = storeOf();
  const interfaces = [multipoint('a', ['192.0.2.1:1000']), hubTunnel('b', 9)];
  const requests = [
    registration('10.99.0.1', interfaces),
    registration('fd99::1', interfaces),
    announcement('10.99.0.1', ['10.1.0.0/24', '10.1.1.0/24']),
  ];
  for (const request of requests) assert.ok((await apply(store, request)).every((code) => code === cieCode.ok));
  const binding = store.snapshot().bindings.get(one.id);
  assert.deepEqual(announcedBy(binding), ['10.1.0.0/24', '10.1.1.0/24']);
  assert.equal(binding?.unique, true);
  assert.equal(store.snapshot().routes.match(address('10.1.1.7'))?.value, one.id);
  assert.equal(store.snapshot().nodeByKey.get(publicKey('b')), one.id);
  const written = store.commits();
  for (const request of requests) await apply(store, request);
  assert.equal(store.commits(), written);
});

test('a registration without U replaces the list of prefixes and keeps the interfaces', async () => {
  const store = storeOf();
  await apply(store, registration('10.99.0.1', [multipoint('a')]));
  await apply(store, announcement('10.99.0.1', ['10.1.0.0/24']));
  await apply(store, announcement('10.99.0.1', []));
  const binding = store.snapshot().bindings.get(one.id);
  assert.deepEqual(announcedBy(binding), []);
  assert.equal(binding?.interfaces.length, 1);
});

test('a new key frees the old one', async () => {
  const store = storeOf();
  await apply(store, registration('10.99.0.1', [multipoint('a')]));
  await apply(store, registration('10.99.0.1', [multipoint('c')]));
  assert.ok(!store.keys().some((key) => key.includes(publicKey('a').slice(0, 8))));
  assert.equal(store.snapshot().nodeByKey.get(publicKey('a')), undefined);
});

test('an address of its own that a node has no longer is not where hubs see it any more; that of its NAT may be', () => {
  const seenAt = (where: string): unknown => {
    const observed = [{ publicKey: publicKey('a'), endpoint: endpoint(where), hub: nodeId(9) }];
    const known = bindingRecord(1, { interfaces: [multipoint('a', ['192.0.2.1:1000'])], observed });
    const store = storeOf();
    store.force({ put: enrolled(one, known) });
    const moved = register(
      store.snapshot(),
      one,
      registration('10.99.0.1', [multipoint('a', ['192.0.2.77:1000'])]),
      context,
    );
    const put = moved.transaction?.put.find(({ kind }) => kind === 'binding');
    assert.ok(put?.kind === 'binding');
    return put.record.observed.map((each) => each.endpoint);
  };
  assert.deepEqual(seenAt('192.0.2.1:1000'), []);
  assert.deepEqual(seenAt('192.0.2.1:4242'), []);
  assert.deepEqual(seenAt('198.51.100.1:7'), ['198.51.100.1:7']);
});

test('a registration ends the loss of a binding and keeps its age and what hubs observed', async () => {
  const store = storeOf();
  const observed = [{ publicKey: publicKey('a'), endpoint: endpoint('198.51.100.1:7'), hub: nodeId(9) }];
  const lost = bindingRecord(1, { interfaces: [multipoint('a')], observed, lostAt: at(100), registeredAt: at(50) });
  store.force({ put: enrolled(one, lost) });
  const outcome = register(store.snapshot(), one, registration('10.99.0.1', [multipoint('a')]), context);
  assert.ok(outcome.transaction);
  await store.commit(outcome.transaction);
  assert.deepEqual(store.snapshot().bindings.get(one.id), { ...lost, lostAt: undefined });
  assert.ok(outcome.reply.body.type === 'registration-reply');
  assert.equal(outcome.reply.body.observedEndpoint, '198.51.100.1:7');
});

const refusals: readonly (readonly [string, NhrpMessage<RegistrationRequest>, number])[] = [
  [
    'an address that is not its own',
    registration('10.99.0.1', [multipoint('a')], { cies: [cie({ protocolAddress: address('10.99.0.2') })] }),
    cieCode.prohibited,
  ],
  ['a prefix that is not its own', announcement('10.99.0.1', ['10.2.0.0/24']), cieCode.prohibited],
  ["a prefix that is another node's", announcement('10.99.0.1', ['10.1.2.0/24']), cieCode.alreadyRegistered],
  ["a part of another node's prefix", announcement('10.99.0.1', ['10.1.2.128/25']), cieCode.alreadyRegistered],
  ["another node's key", registration('10.99.0.1', [multipoint('node-2')]), cieCode.alreadyRegistered],
  ['the same key twice', registration('10.99.0.1', [multipoint('a'), hubTunnel('a', 9)]), cieCode.prohibited],
  ['two multipoint interfaces', registration('10.99.0.1', [multipoint('a'), multipoint('b')]), cieCode.prohibited],
  [
    'too many interfaces',
    registration(
      '10.99.0.1',
      Array.from({ length: 65 }, (_, index) => hubTunnel(String(index), 9)),
    ),
    cieCode.noResources,
  ],
];

for (const [what, request, code] of refusals) {
  test(`a registration with ${what} gets code ${String(code)}, holding time 0, and changes nothing of it`, () => {
    const store = storeOf();
    store.force({ put: enrolled(one, bindingRecord(1)) });
    const outcome = register(store.snapshot(), one, request, context);
    assert.deepEqual(codes(outcome), [code]);
    assert.ok(outcome.reply.body.type === 'registration-reply');
    assert.equal(outcome.reply.body.cies[0]?.holdingTime, 0);
    const [put] = outcome.transaction?.put ?? [];
    const bound = put?.kind === 'binding' ? put.record : bindingRecord(1);
    assert.deepEqual(
      { ...bound, refused: [], agentVersion: 'test' },
      bindingRecord(1),
      'only the refusal is remembered',
    );
  });
}

test('of a list of prefixes the allowed ones are registered, in spite of the others', async () => {
  const store = storeOf();
  await apply(store, registration('10.99.0.1', [multipoint('a')]));
  assert.deepEqual(await apply(store, announcement('10.99.0.1', ['10.1.0.0/24', '10.3.0.0/24'])), [0, 4]);
  assert.deepEqual(announcedBy(store.snapshot().bindings.get(one.id)), ['10.1.0.0/24']);
});

const own = registration('10.99.0.1', [multipoint('a')]);
const errors: readonly (readonly [string, NhrpMessage<RegistrationRequest>, number])[] = [
  ['U and two CIEs', { ...own, body: { ...own.body, cies: [cie(), cie()] } }, errorCode.protocolError],
  ['U and a prefix', { ...own, body: { ...own.body, cies: [cie({ prefixLength: 24 })] } }, errorCode.protocolError],
  ['hop count 0', { ...own, hopCount: 0 }, errorCode.hopCountExceeded],
  ["another node's source", { ...own, source: address('10.99.0.2') }, errorCode.authenticationFailure],
  [
    'an unknown compulsory extension',
    { ...own, extensions: [{ type: 9, compulsory: true, value: new Uint8Array() }] },
    errorCode.unrecognisedExtension,
  ],
];

for (const [what, request, code] of errors) {
  test(`a registration with ${what} gets error indication ${String(code)}`, () => {
    const outcome = register(storeOf().snapshot(), one, request, context);
    assert.ok(outcome.reply.body.type === 'error-indication');
    assert.equal(outcome.reply.body.code, code);
    assert.equal(outcome.reply.requestId, request.requestId);
    const [put] = outcome.transaction?.put ?? [];
    const bound = put?.kind === 'binding' ? put.record : bindingRecord(1);
    assert.deepEqual(
      { ...bound, refused: [], agentVersion: 'test' },
      bindingRecord(1),
      'only the refusal is remembered',
    );
  });
}

test('other extensions come back unchanged and in order', () => {
  const extensions = [
    { type: 9, compulsory: false, value: new Uint8Array([1]) },
    { type: 3, compulsory: false, value: new Uint8Array() },
  ];
  const outcome = register(storeOf().snapshot(), one, { ...own, extensions }, context);
  assert.deepEqual(outcome.reply.extensions, extensions);
});

test('a holding time that the node asks for is granted; 0 asks for the default', async () => {
  for (const [asked, granted] of [
    [60, 60],
    [0, 7200],
  ] as const) {
    const store = storeOf();
    const request = registration('10.99.0.1', [multipoint('a')], { cies: [cie({ holdingTime: seconds(asked) })] });
    await apply(store, request);
    assert.equal(store.snapshot().bindings.get(one.id)?.holdingTime, granted);
  }
});

test('an unsupported order: prefixes before any interface are refused', () => {
  const request = message('10.99.0.1', '10.99.0.1', announcement('10.99.0.1', ['10.1.0.0/24']).body);
  assert.deepEqual(codes(register(storeOf().snapshot(), one, request, context)), [cieCode.prohibited]);
});
