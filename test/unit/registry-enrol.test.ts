import assert from 'node:assert/strict';
import test from 'node:test';
import { type Address, addressValue } from '#proto/model/address.ts';
import { must, ok, type Result } from '#proto/model/result.ts';
import { admit } from '#registry/decide/admit.ts';
import { allocate } from '#registry/decide/allocate.ts';
import { enrol, type Enrolment, type EnrolmentRequest } from '#registry/decide/enrol.ts';
import { parseNewName } from '#proto/model/names.ts';
import { refusalOf } from '#registry/decide/permit.ts';
import { findNode, removeNode } from '#registry/decide/removal.ts';
import type { Put } from '#registry/decide/state.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  address,
  at,
  bindingRecord,
  endpoint,
  enrolled,
  name,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
  revocationRecord,
  tokenRecord,
} from '#test/support/registry-fixtures.ts';

function storeOf(...put: Put[]): MemoryStore {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }, ...put] });
  return store;
}

const token = (parts = {}): Put => ({ kind: 'token', record: tokenRecord(parts) });

function request(parts: Partial<EnrolmentRequest> = {}): EnrolmentRequest {
  return {
    tokenId: 'token-1',
    secretMatches: true,
    name: name('new'),
    role: undefined,
    prefixes: [],
    endpoints: [],
    address: undefined,
    priority: undefined,
    cluster: 0,
    ...parts,
  };
}

const now = at(1000);

const faults: readonly (readonly [string, MemoryStore, Partial<EnrolmentRequest>, string, RegExp])[] = [
  ['an unknown token', storeOf(), {}, 'token-unknown', /dmwg token create/],
  ['a wrong secret', storeOf(token()), { secretMatches: false }, 'token-unknown', /unknown/],
  ['an expired token', storeOf(token({ expiresAt: at(999) })), {}, 'token-expired', /1970-01-01/],
  ['a used-up token', storeOf(token({ usesLeft: 0 })), {}, 'token-used-up', /used up/],
  ['another role', storeOf(token()), { role: 'hub' }, 'role-not-allowed', /for a spoke/],
  ['a hub without endpoint', storeOf(token({ role: 'hub' })), {}, 'hub-needs-endpoint', /--endpoint/],
  [
    "a prefix that is not the token's",
    storeOf(token()),
    { prefixes: [prefix('10.1.0.0/24')] },
    'prefix-not-allowed',
    /no prefix/,
  ],
  [
    "a prefix wider than the token's",
    storeOf(token({ prefixes: [prefix('10.1.0.0/24')] })),
    { prefixes: [prefix('10.1.0.0/16')] },
    'prefix-not-allowed',
    /only 10\.1\.0\.0\/24/,
  ],
  [
    'a part of the pool',
    storeOf(token({ prefixes: [prefix('10.0.0.0/8')] })),
    { prefixes: [prefix('10.99.3.0/24')] },
    'prefix-not-allowed',
    /10\.99\.0\.0\/16/,
  ],
  [
    'the default route, which NHRP cannot say',
    storeOf(token({ prefixes: [prefix('0.0.0.0/0')] })),
    { prefixes: [prefix('0.0.0.0/0')] },
    'default-route',
    /0\.0\.0\.0\/1 and 128\.0\.0\.0\/1/,
  ],
  [
    'a prefix of another node',
    storeOf(
      token({ prefixes: [prefix('10.1.0.0/16')] }),
      ...enrolled(nodeRecord(1, { prefixes: [prefix('10.1.0.0/24')] })),
    ),
    { prefixes: [prefix('10.1.0.0/24')] },
    'prefix-taken',
    /node-1/,
  ],
  [
    'a name of another node',
    storeOf(token(), ...enrolled(nodeRecord(1))),
    { name: name('node-1') },
    'name-taken',
    /node-1/,
  ],
  [
    'an address of another node',
    storeOf(token(), ...enrolled(nodeRecord(1))),
    { address: address('10.99.0.1') },
    'address-taken',
    /10\.99\.0\.1/,
  ],
  [
    'an address outside the pool',
    storeOf(token()),
    { address: address('10.98.0.1') },
    'address-outside-pool',
    /10\.99\.0\.0\/16/,
  ],
  ['the network address', storeOf(token()), { address: address('10.99.0.0') }, 'address-outside-pool', /pool/],
];

for (const [what, store, parts, code, text] of faults) {
  test(`enrolment refuses ${what} as ${code}`, () => {
    const outcome = enrol(store.snapshot(), request(parts), nodeId(9), now);
    assert.ok(!outcome.ok);
    assert.equal(outcome.fault.code, code);
    assert.match(outcome.fault.message, text);
  });
}

test('enrolment allocates the lowest free address and the same offset in the second pool', () => {
  const store = storeOf(token(), ...enrolled(nodeRecord(1)), ...enrolled(nodeRecord(2, { address6: undefined })));
  const outcome = enrol(store.snapshot(), request(), nodeId(9), now);
  assert.ok(outcome.ok);
  assert.equal(outcome.value.node.address, '10.99.0.3');
  assert.equal(outcome.value.node.address6, 'fd99::3');
});

test('the halves of a default route are around the pool, and allowed', () => {
  const halves = [prefix('0.0.0.0/1'), prefix('128.0.0.0/1')];
  assert.deepEqual(
    must(enrol(storeOf(token({ prefixes: halves })).snapshot(), request({ prefixes: halves }), nodeId(9), now)).node
      .prefixes,
    halves,
  );
});

test('an overlay has as many hubs as its configuration takes', () => {
  const hubs = Array.from({ length: 256 }, (_, index) => enrolled(nodeRecord(index, { role: 'hub' })));
  const store = storeOf(token({ role: 'hub' }), ...hubs.flat());
  const outcome = enrol(store.snapshot(), request({ endpoints: [endpoint('203.0.113.1:1')] }), nodeId(999), now);
  assert.ok(!outcome.ok && outcome.fault.code === 'too-many');
});

test('a node is found by its id before a name that looks like it', () => {
  const confusing = nodeRecord(2, { name: name(nodeId(1)) });
  const store = storeOf(...enrolled(confusing), ...enrolled(nodeRecord(1)));
  assert.equal(must(findNode(store.snapshot(), nodeId(1))).id, nodeId(1));
  assert.equal(must(findNode(store.snapshot(), 'node-1')).id, nodeId(1));
  assert.equal(parseNewName('0123456789abcdef').ok, false);
});

test('a full pool is exhausted, and one free address in it is found', () => {
  const store = createMemoryStore();
  const overlay = overlayRecord({ pool: prefix('10.99.0.0/30'), pool6: undefined });
  store.force({ put: [{ kind: 'overlay', record: overlay }, token(), ...enrolled(nodeRecord(1))] });
  const found = enrol(store.snapshot(), request(), nodeId(9), now);
  assert.ok(found.ok);
  assert.equal(found.value.node.address, '10.99.0.2');
  store.force({ put: enrolled(nodeRecord(2)) });
  const full = enrol(store.snapshot(), request(), nodeId(9), now);
  assert.ok(!full.ok);
  assert.equal(full.fault.code, 'pool-exhausted');
});

test('hubs are preferred in the order in which they join', async () => {
  const store = storeOf(token({ role: 'hub', usesLeft: 2 }));
  for (const number of [1, 2]) {
    const asked = request({ name: name(`hub-${String(number)}`), endpoints: [endpoint('192.0.2.1:51820')] });
    const outcome = enrol(store.snapshot(), asked, nodeId(number), now);
    assert.ok(outcome.ok);
    assert.ok((await store.commit(outcome.value.transaction)).ok);
    assert.equal(outcome.value.node.priority, number - 1);
  }
});

test('of two enrolments decided on one snapshot one conflicts, and gets the next address when decided again', async () => {
  const store = storeOf(token({ usesLeft: 2 }));
  const decide = (number: number): Result<Enrolment> =>
    enrol(store.snapshot(), request({ name: name(`new-${String(number)}`) }), nodeId(number), now);
  const decisions = [decide(1), decide(2)].map(must);
  const outcomes = await Promise.all(decisions.map((each) => store.commit(each.transaction)));
  const lost = outcomes.findIndex((each) => !each.ok) + 1;
  assert.equal(outcomes.filter((each) => each.ok).length, 1);
  const again = must(decide(lost));
  assert.equal(again.node.address, '10.99.0.2');
  assert.ok((await store.commit(again.transaction)).ok);
  assert.equal(store.snapshot().tokens.get('token-1')?.usesLeft, 0);
});

test('removing a node leaves nothing of it but its revocation', async () => {
  const node = nodeRecord(1, { prefixes: [prefix('10.1.0.0/24')] });
  const store = storeOf();
  const before = store.keys();
  store.force({ put: enrolled(node, bindingRecord(1)) });
  const removal = removeNode(store.snapshot(), node.id, 'left', now);
  assert.ok(removal.ok);
  assert.ok((await store.commit(removal.value.transaction)).ok);
  assert.deepEqual(store.keys(), [...before, `revoked/${node.id}`].sort());
  assert.deepEqual(
    store.snapshot().revoked.get(node.id),
    revocationRecord(1, { at: now, reason: 'left', prefixes: node.prefixes }),
  );
});

test('the id of a node, present or past, is not given again', async () => {
  const store = storeOf(token({ usesLeft: 2 }), { kind: 'revocation', record: revocationRecord(1) });
  const again = enrol(store.snapshot(), request(), nodeId(1), now);
  assert.ok(!again.ok);
  assert.equal(again.fault.code, 'conflict');
  // Also when the revocation comes between the decision and the commit.
  const outcome = enrol(store.snapshot(), request(), nodeId(2), now);
  assert.ok(outcome.ok);
  store.force({ put: [{ kind: 'revocation', record: revocationRecord(2) }] });
  const committed = await store.commit(outcome.value.transaction);
  assert.ok(!committed.ok);
  assert.equal(committed.fault.code, 'conflict');
});

test('only a revocation shuts a node out; one that is missing is unknown, and without an overlay nothing is said', () => {
  const reason = (store: MemoryStore, number: number): string => {
    const admitted = admit(store.snapshot(), nodeId(number));
    return admitted.ok ? 'known' : `${admitted.fault.code}: ${admitted.fault.message}`;
  };
  const store = storeOf(
    ...enrolled(nodeRecord(1)),
    { kind: 'revocation', record: revocationRecord(2) },
    { kind: 'revocation', record: revocationRecord(3, { reason: 'left' }) },
  );
  assert.equal(reason(store, 1), 'known');
  assert.match(reason(store, 2), /^revoked: node node-2 \(0+2\) was revoked: join again/);
  assert.match(reason(store, 3), /^revoked: node node-3 \(0+3\) has left: join again/);
  assert.match(
    reason(store, 4),
    /^unknown-node: this registry does not know node 0+4: .*restore the registry's data, or/,
  );
  store.force({ delete: [{ kind: 'overlay' }] });
  for (const number of [1, 2, 3, 4]) assert.match(reason(store, number), /^no-overlay: /);
});

test('in a large overlay an address is found without trying all', () => {
  const pool = prefix('10.0.0.0/8');
  let tried = 0;
  const below = (limit: bigint) => (one: Address) => {
    tried++;
    return addressValue(one) < limit;
  };
  assert.deepEqual(allocate(pool, below(addressValue(address('10.0.200.7')))), ok(address('10.0.200.7')));
  assert.ok(tried < 400, String(tried));
  const all = prefix('10.0.0.0/22');
  const last = address('10.0.3.254');
  assert.deepEqual(
    allocate(all, (one) => one !== last),
    ok(last),
  );
  assert.equal(allocate(all, () => true).ok, false);
});

test('a token that shares lets two routers of one site announce its prefix, and what is inside', () => {
  const lan = prefix('10.1.0.0/16');
  const store = storeOf(
    token({ prefixes: [lan], shared: true, usesLeft: 2 }),
    token({ id: 'token-2', prefixes: [lan] }),
  );
  for (const [index, text] of ['r1', 'r2'].entries()) {
    const wanted = request({ name: name(text), prefixes: [lan] });
    store.force(must(enrol(store.snapshot(), wanted, nodeId(index + 1), now)).transaction);
  }
  const announced = (number: number, text: string): string => {
    const node = store.snapshot().nodes.get(nodeId(number));
    assert.ok(node);
    const found = refusalOf(store.snapshot(), node, prefix(text), []);
    if (!found) {
      const prefixes = [prefix(text)];
      store.force({ put: [{ kind: 'binding', record: bindingRecord(number, { prefixes }) }] });
    }
    return found?.reason ?? 'ok';
  };
  assert.equal(announced(1, '10.1.0.0/16'), 'ok');
  assert.equal(announced(2, '10.1.0.0/16'), 'ok');
  assert.equal(announced(2, '10.1.7.0/24'), 'ok');
  assert.match(announced(2, '10.0.0.0/8'), /neither/);
  assert.deepEqual([...store.snapshot().claimedPrefixes], [], 'it is claimed for nobody');
  const other = request({ name: name('r3'), tokenId: 'token-2', prefixes: [lan] });
  store.force(must(enrol(store.snapshot(), other, nodeId(3), now)).transaction);
  assert.match(announced(3, '10.1.0.0/16'), /r1 has it/, 'without a token that shares');
});
