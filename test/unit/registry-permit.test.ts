// Which prefixes a node may announce, and who of several gets the traffic.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Prefix } from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';
import { seconds } from '#proto/model/time.ts';
import { announcedBy } from '#registry/decide/node.ts';
import { outsideOf, refusalOf } from '#registry/decide/permit.ts';
import type { NodeRecord } from '#registry/decide/records.ts';
import { register } from '#registry/decide/register.ts';
import { scopeOf } from '#registry/decide/scope.ts';
import { type PrefixOrder, setPrefixRule } from '#registry/decide/set-prefix.ts';
import type { Put } from '#registry/decide/state.ts';
import { routeRows } from '#registry/decide/visible-routes.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import {
  address,
  announcement,
  at,
  bindingRecord,
  endpoint,
  enrolled,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
} from '#test/support/registry-fixtures.ts';

const lan = prefix('10.1.0.0/16');
const one = nodeRecord(1, { prefixes: [lan] });
const two = nodeRecord(2);
const hub = nodeRecord(8, { role: 'hub', endpoints: [endpoint('203.0.113.5:51820')] });

function storeOf(...put: Put[]): MemoryStore {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }, ...enrolled(hub), ...put] });
  return store;
}

const both = (): MemoryStore =>
  storeOf(...enrolled(one, bindingRecord(1, { prefixes: [lan] })), ...enrolled(two, bindingRecord(2)));

function order(store: MemoryStore, parts: Partial<PrefixOrder>): void {
  const wanted = { node: 'node-2', action: 'allow', rule: lan, shared: false, ...parts };
  store.force(must(setPrefixRule(store.snapshot(), wanted, at(0))).transaction);
}

function refusal(store: MemoryStore, id: NodeRecord['id'], text: string): string {
  const node = store.snapshot().nodes.get(id);
  assert.ok(node);
  const found = refusalOf(store.snapshot(), node, prefix(text), outsideOf(store.snapshot(), node));
  return found ? `${String(found.code)} ${found.reason}` : 'ok';
}

function announce(store: MemoryStore, number: number, texts: readonly string[], options = {}): number[] {
  const node = store.snapshot().nodes.get(nodeId(number));
  assert.ok(node);
  const request = announcement(node.address, texts, options);
  const { reply, transaction } = register(store.snapshot(), node, request, { now: at(1000), agentVersion: 'test' });
  if (transaction) store.force(transaction);
  return 'cies' in reply.body ? reply.body.cies.map(({ code }) => code) : [];
}

test('the most specific rule decides, deny before allow; without one what the token allowed', () => {
  const store = both();
  const cases: [string, Partial<PrefixOrder>, string, RegExp][] = [
    ['nothing', {}, '10.2.0.0/16', /^4 neither/],
    ['exactly', { rule: '10.2.0.0/16' }, '10.2.0.0/16', /^ok/],
    ['not what is inside', {}, '10.2.1.0/24', /^4 neither/],
    ['a range', { rule: '10.0.0.0/8 ge 20 le 24' }, '10.2.1.0/24', /^ok/],
    ['out of the range', {}, '10.2.1.0/25', /^4 neither/],
    [
      'denied inside',
      { action: 'deny', rule: '10.2.1.0/24' },
      '10.2.1.0/24',
      /^4 denied by the rule "10\.2\.1\.0\/24"/,
    ],
    ['a tie is denied', { action: 'deny', rule: '10.2.0.0/16 le 17' }, '10.2.0.0/16', /^4 denied/],
    ['in a network of another node', {}, '10.1.7.0/24', /^14 node-1 has it/],
    ['named, it is its own', { rule: '10.1.7.0/24' }, '10.1.7.0/24', /^ok/],
    ['a default route needs more than a range', { rule: '0.0.0.0/0 le 24' }, '0.0.0.0/1', /^4 a default route/],
    ['a rule for it', { rule: '0.0.0.0/0' }, '128.0.0.0/1', /^ok/],
    ['the pool is covered by a range', {}, '10.99.0.0/16', /^4 it overlaps the pool/],
    ['the pool is named', { rule: '10.99.0.0/16' }, '10.99.0.0/16', /^ok/],
    [
      'link addresses, never',
      { rule: 'fd12:3456:789a:bcde::/64' },
      'fd12:3456:789a:bcde::/64',
      /^4 it overlaps the link/,
    ],
    [
      "a hub's endpoint",
      { rule: '203.0.113.0/24' },
      '203.0.113.0/24',
      /^4 the endpoint of the hub node-8, 203\.0\.113\.5/,
    ],
  ];
  for (const [what, parts, asked, expected] of cases) {
    if (parts.rule !== undefined) order(store, parts);
    assert.match(refusal(store, two.id, asked), expected, what);
  }
});

test('a taken prefix stays with its node until both may share it, and is judged anew with every order', () => {
  const store = both();
  order(store, { shared: true });
  assert.deepEqual(announce(store, 2, [lan]), [14]);
  order(store, { node: 'node-1', shared: true });
  assert.deepEqual(announce(store, 2, [lan], { preference: 7 }), [0]);
  const rows = (): string[] =>
    routeRows(store.snapshot(), at(2000))
      .filter((row) => row.prefix === lan)
      .map(({ node, state, preference, reason }) => `${node} ${state} ${String(preference)} ${reason}`);
  assert.deepEqual(rows(), [
    'node-2 active 7 higher preference than node-1',
    'node-1 backup 0 lower preference than node-2',
  ]);
  order(store, { action: 'deny' });
  assert.deepEqual(rows(), ['node-1 active 0 no other', 'node-2 rejected 7 denied by the rule "10.1.0.0/16"']);
  order(store, { shared: true });
  assert.equal(rows().length, 2);
  assert.match(rows()[0] ?? '', /^node-2 active/);
});

test('the better node gets the traffic while it is connected, the other one when its session has ended', () => {
  const store = both();
  for (const node of ['node-1', 'node-2']) order(store, { node, shared: true });
  announce(store, 2, [lan], { preference: 7 });
  const leadsTo = (asker?: number): string | undefined => {
    const view = { now: at(60_000), asker: asker === undefined ? undefined : nodeId(asker) };
    return scopeOf(store.snapshot(), address('10.1.2.3'), view)?.node;
  };
  assert.equal(leadsTo(), two.id);
  const binding = store.snapshot().bindings.get(two.id);
  assert.ok(binding);
  store.force({ put: [{ kind: 'binding', record: { ...binding, lostAt: at(50_000) } }] });
  assert.equal(leadsTo(), one.id);
  store.force({ put: [{ kind: 'binding', record: binding }] });
  assert.equal(leadsTo(), two.id);
  announce(store, 2, []);
  assert.equal(leadsTo(), one.id);
});

test('an additive registration adds, and costs no list; what is over the limit is refused, and harms nothing', () => {
  const store = both();
  const overlay = overlayRecord({ prefixLimit: 3, holdingTime: seconds(100) });
  store.force({ put: [{ kind: 'overlay', record: overlay }] });
  const numbered = (number: number): Prefix => prefix(`10.1.${String(number)}.0/24`);
  assert.deepEqual(announce(store, 1, [numbered(1)], { additive: true }), [0]);
  assert.deepEqual(announcedBy(store.snapshot().bindings.get(one.id)), [lan, numbered(1)]);
  assert.deepEqual(announce(store, 1, [numbered(1), numbered(2), numbered(3)], { additive: true }), [0, 0, 5]);
  assert.deepEqual(announcedBy(store.snapshot().bindings.get(one.id)), [lan, numbered(1), numbered(2)]);
  const rejected = routeRows(store.snapshot(), at(2000)).filter(({ state }) => state === 'rejected');
  assert.match(rejected[0]?.reason ?? '', /limit/);
  const many = Array.from({ length: 5000 }, (_, index) =>
    prefix(`10.1.${String(index >> 8)}.${String(index & 255)}/32`),
  );
  const codes = announce(store, 1, many);
  assert.deepEqual([codes.filter((code) => code === 0).length, codes.filter((code) => code === 5).length], [3, 4997]);
  assert.equal(store.snapshot().bindings.get(one.id)?.refused.length, 100);
});

test('what the registry is in needs a rule or a token that names it', () => {
  const replica = { id: 'r1', address: '', joinedAt: ['10.2.0.9:7443', 'registry.example.net:7443'] };
  const store = storeOf(...enrolled(two, bindingRecord(2)), { kind: 'replica', record: replica });
  order(store, { rule: '10.2.0.0/16 le 24' });
  assert.match(
    refusal(store, two.id, '10.2.0.0/24'),
    /^4 the address of the registry, 10\.2\.0\.9, is in it, and no rule/,
  );
  assert.equal(refusal(store, two.id, '10.2.1.0/24'), 'ok');
  order(store, { rule: '10.2.0.0/24' });
  assert.equal(refusal(store, two.id, '10.2.0.0/24'), 'ok');
});
