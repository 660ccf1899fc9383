// What every store does, whether its data is in etcd or in memory: the tests of the registry rely on these alone.
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { hostPrefix } from '#proto/model/address.ts';
import { ok, type Result } from '#proto/model/result.ts';
import { keyOf } from '#registry/store/keys.ts';
import type { ToldRecord } from '#registry/decide/told.ts';
import type { Key, Put, Store, StoreChange, Transaction } from '#registry/store/port.ts';
import { until } from '#test/support/poll.ts';
import {
  address,
  at,
  bindingRecord,
  multipoint,
  name,
  nodeId,
  nodeRecord,
  overlayRecord,
  prefix,
  publicKey,
  revocationRecord,
  tokenRecord,
} from '#test/support/registry-fixtures.ts';
import { enrol, failedWith, session, succeeded, transaction, within } from './store-cases.ts';

export type ClosableStore = Store & { close(): Promise<void> };

/** A place where data is, and the stores of replicas on it. */
export interface Backing {
  /** The replica is announced when it resolves. */
  open(replica: string): Promise<ClosableStore>;
  /** The place stops to answer, or goes on. */
  setAway(away: boolean): Promise<void> | void;
}

/** Registers the cases for one kind of store; every case has a backing of its own. */
export function storeSuite(kind: string, backingFor: (t: TestContext) => Promise<Backing> | Backing): void {
  const contract = (what: string, body: (t: TestContext, backing: Backing) => Promise<void>): void => {
    test(`${kind}: ${what}`, async (t) => {
      await body(t, await backingFor(t));
    });
  };
  const pair = async (backing: Backing): Promise<readonly [ClosableStore, ClosableStore]> => [
    await backing.open('a'),
    await backing.open('b'),
  ];

  contract('a commit is in the snapshot when it resolves, and in the other replica soon', async (_, backing) => {
    const [a, b] = await pair(backing);
    succeeded(await a.commit(transaction({ put: [{ kind: 'overlay', record: overlayRecord() }, ...enrol(1).put] })));
    assert.deepEqual(a.snapshot().nodes.get(nodeId(1)), nodeRecord(1, { prefixes: [prefix('10.1.0.0/16')] }));
    assert.deepEqual(a.snapshot().overlay, overlayRecord());
    await until('the other replica sees it', () => b.snapshot().nodes.has(nodeId(1)), { within });
    assert.deepEqual([...b.snapshot().routes.entries()].sort(), [...a.snapshot().routes.entries()].sort());
    await until('the replicas see each other', () => a.snapshot().replicas.size === 2, { within });
    assert.deepEqual([...b.snapshot().replicas.keys()].sort(), ['a', 'b']);
    assert.ok(a.healthy() && b.healthy());
  });

  contract('every kind of record reads back, and goes', async (_, backing) => {
    const store = await backing.open('a');
    const puts: readonly Put[] = [
      { kind: 'overlay', record: overlayRecord({ pool6: undefined }) },
      { kind: 'node', record: nodeRecord(1, { address6: undefined }) },
      { kind: 'binding', record: bindingRecord(1, { lostAt: at(7) }) },
      { kind: 'token', record: tokenRecord() },
      { kind: 'revocation', record: revocationRecord(2, { at: at(5), reason: 'left' }) },
      { kind: 'clear', record: { id: 'x', classes: [prefix('10.1.0.0/16')], after: 3, until: at(9) } },
      { kind: 'session', record: { node: nodeId(1), replica: 'a' } },
      { kind: 'claim-address', address: address('10.99.0.1'), node: nodeId(1) },
      { kind: 'claim-prefix', prefix: prefix('10.1.0.0/16'), node: nodeId(1) },
    ];
    succeeded(await store.commit(transaction({ put: puts })));
    const read = (): unknown[] => {
      const { overlay, nodes, bindings, tokens, revoked, clears, sessions, claimedAddresses, claimedPrefixes } =
        store.snapshot();
      const records = [nodes, bindings, tokens, revoked, clears, sessions].flatMap((map) => [...map.values()]);
      return [overlay, ...records, ...claimedAddresses, ...claimedPrefixes];
    };
    const records = puts.flatMap((put) => ('record' in put ? [put.record] : []));
    const claims = [
      [address('10.99.0.1'), nodeId(1)],
      [prefix('10.1.0.0/16'), nodeId(1)],
    ];
    assert.deepEqual(read(), [...records, ...claims]);
    succeeded(await store.commit(transaction({ delete: puts.map(keyOf) })));
    assert.deepEqual(read(), [undefined]);
  });

  contract('what nodes were told is kept apart, for whoever asks, and changes nothing else', async (_, backing) => {
    const [a, b] = await pair(backing);
    const told = (asker: number, about: number, ...networks: string[]): ToldRecord => {
      const answers = networks.map((network) => ({
        prefix: prefix(network),
        mark: `mark ${network}`,
        revision: 7,
        until: at(Date.now() + 60_000),
      }));
      return { asker: nodeId(asker), about: nodeId(about), answers };
    };
    const records = [told(1, 2, '10.2.0.0/16', '10.99.0.2/32'), told(1, 3, '10.3.0.0/16'), told(11, 2, '10.2.0.0/16')];
    const changes: StoreChange[] = [];
    b.onChange((batch) => changes.push(...batch));
    const { revision } = b.snapshot();
    succeeded(await a.told.write(records));
    const read = async (asker: number): Promise<unknown> => {
      const found = await b.told.read(nodeId(asker));
      assert.ok(found.ok);
      return found.value.sort((one, other) => (one.about < other.about ? -1 : 1));
    };
    assert.deepEqual(await read(1), records.slice(0, 2));
    assert.deepEqual(await read(11), records.slice(2));
    assert.deepEqual(await read(2), []);
    const changed = told(1, 3, '10.3.7.0/24');
    succeeded(await b.told.write([told(1, 2), changed]));
    assert.deepEqual(await read(1), [changed]);
    assert.deepEqual(changes, []);
    assert.equal(b.snapshot().revision, revision);
  });

  contract('the indexes follow the records', async (_, backing) => {
    const store = await backing.open('a');
    succeeded(await store.commit(enrol(1)));
    const { nodeByName, nodeByKey, routes, claimedAddresses, claimedPrefixes } = store.snapshot();
    assert.equal(nodeByName.get(name('node-1')), nodeId(1));
    assert.equal(nodeByKey.get(publicKey('node-1')), nodeId(1));
    assert.equal(claimedAddresses.get(address('10.99.0.1')), nodeId(1));
    assert.equal(claimedPrefixes.get(prefix('10.1.0.0/16')), nodeId(1));
    assert.equal(routes.match(address('10.1.2.3'))?.value, nodeId(1));
    assert.equal(routes.get(hostPrefix(address('10.99.0.1'))), nodeId(1));
    // The maps of a snapshot are live.
    const moved = bindingRecord(1, { interfaces: [multipoint('new')], prefixes: [] });
    succeeded(await store.commit(transaction({ put: [{ kind: 'binding', record: moved }] })));
    assert.deepEqual([...nodeByKey], [[publicKey('new'), nodeId(1)]]);
    assert.equal(routes.match(address('10.1.2.3')), undefined);
    succeeded(await store.commit(transaction({ delete: [{ kind: 'node', id: nodeId(1) }] })));
    assert.deepEqual([...nodeByName, ...nodeByKey, ...routes.entries()], []);
  });

  contract('of two replicas that claim the same, one wins and the other learns what was taken', async (_, backing) => {
    const [a, b] = await pair(backing);
    const claim = (number: number): Transaction =>
      transaction({
        absent: [{ kind: 'claim-address', address: address('10.99.0.1') }],
        put: [
          { kind: 'claim-address', address: address('10.99.0.1'), node: nodeId(number) },
          { kind: 'token', record: tokenRecord({ id: String(number) }) },
        ],
      });
    const results = await Promise.all([a.commit(claim(1)), b.commit(claim(2))]);
    assert.equal(results.filter((result) => result.ok).length, 1);
    const winner = results[0].ok ? 1 : 2;
    failedWith(results[0].ok ? results[1] : results[0], 'conflict', /^address 10\.99\.0\.1 is taken$/);
    // The loser's mirror shows it already, so it can choose again at once; and nothing of its own was written.
    const other = results[0].ok ? b : a;
    assert.equal(other.snapshot().claimedAddresses.get(address('10.99.0.1')), nodeId(winner));
    assert.deepEqual([...other.snapshot().tokens.keys()], [String(winner)]);
  });

  contract('a record that changed since the call is a conflict, whoever changed it', async (_, backing) => {
    const [a, b] = await pair(backing);
    const key: Key = { kind: 'node', id: nodeId(1) };
    const rename = (tag: string): Transaction =>
      transaction({ unchanged: [key], put: [{ kind: 'node', record: nodeRecord(1, { tags: [tag] }) }] });
    // Absent stays absent: fine as long as it is not there.
    succeeded(await a.commit(transaction({ unchanged: [key] })));
    failedWith(await loser([a, rename('first')], [a, rename('second')]), 'conflict', /^node 0+1 is taken$/);
    await until('b sees the node', () => b.snapshot().nodes.has(nodeId(1)), { within });
    failedWith(await loser([a, rename('a')], [b, rename('b')]), 'conflict', /^node 0+1 has changed$/);
    const gone = transaction({ unchanged: [key], delete: [key] });
    failedWith(await loser([a, gone], [a, rename('late')]), 'conflict', /^node 0+1 (is gone|has changed)$/);
  });

  contract(
    'listeners hear of each batch once, of each thing in it once, and after it is in place',
    async (_, backing) => {
      const store = await backing.open('a');
      const batches: string[][] = [];
      const listen = (changes: readonly StoreChange[]): void => {
        assert.ok(store.snapshot().nodes.has(nodeId(1)));
        batches.push(changes.map((change) => `${change.kind} ${subject(change)}`).sort());
      };
      const stops = [store.onChange(listen), store.onChange(listen)];
      succeeded(await store.commit(enrol(1)));
      const expected = [
        `binding ${nodeId(1)}`,
        `node ${nodeId(1)}`,
        'route 10.1.0.0/16',
        'route 10.99.0.1/32',
        'route fd99::1/128',
      ];
      assert.deepEqual(batches, [expected, expected]);
      stops[0]?.();
      succeeded(await store.commit(transaction({ put: [{ kind: 'revocation', record: revocationRecord(2) }] })));
      assert.deepEqual(batches.slice(2), [[`revocation ${nodeId(2)}`]]);
      // What changes nothing is no news.
      succeeded(await store.commit(transaction({ delete: [{ kind: 'token', id: 'none' }] })));
      succeeded(await store.commit(transaction({ unchanged: [{ kind: 'node', id: nodeId(1) }] })));
      assert.ok(!(await store.commit(transaction({ absent: [{ kind: 'node', id: nodeId(1) }] }))).ok);
      assert.equal(batches.length, 3);
      stops[1]?.();
      succeeded(await store.commit(enrol(3)));
      assert.equal(batches.length, 3);
    },
  );

  contract('sessions go with the store that wrote them; those that another took stay', async (_, backing) => {
    const [a, b] = await pair(backing);
    for (const number of [1, 2]) succeeded(await a.commit(session(number, 'a')));
    for (const number of [2, 3]) succeeded(await b.commit(session(number, 'b')));
    await a.close();
    await until('a took its keys along', () => b.snapshot().replicas.size === 1, { within });
    await until('its session is gone', () => !b.snapshot().sessions.has(nodeId(1)), { within });
    assert.deepEqual([...b.snapshot().sessions.keys()].sort(), [nodeId(2), nodeId(3)]);
  });

  contract('away: the snapshot stays, a commit is unavailable, and all comes back', async (_, backing) => {
    const store = await backing.open('a');
    succeeded(await store.commit(enrol(1)));
    await backing.setAway(true);
    failedWith(await store.commit(enrol(2)), 'unavailable', /etcd/);
    await until('it is not healthy', () => !store.healthy(), { within });
    assert.deepEqual([...store.snapshot().nodes.keys()], [nodeId(1)]);
    await backing.setAway(false);
    await until('it is healthy', () => store.healthy(), { within });
    succeeded(await store.commit(enrol(3)));
    assert.ok(store.snapshot().nodes.has(nodeId(3)));
  });

  contract('what etcd takes in no transaction is refused, and nothing is written', async (_, backing) => {
    const store = await backing.open('a');
    const many = Array.from({ length: 129 }, (_unused, index) => session(index + 1, 'a').put).flat();
    failedWith(await store.commit(transaction({ put: many })), 'refused', /too many operations/);
    const key: Key = { kind: 'session', id: nodeId(1) };
    const twice = many.slice(0, 1);
    failedWith(await store.commit(transaction({ put: [...twice, ...twice] })), 'refused', /duplicate key/);
    failedWith(await store.commit(transaction({ put: twice, delete: [key] })), 'refused', /duplicate key/);
    assert.equal(store.snapshot().sessions.size, 0);
    succeeded(await store.commit(transaction({ put: many.slice(0, 128) })));
    succeeded(await store.commit(transaction({ delete: [key, key] })));
    assert.equal(store.snapshot().sessions.size, 127);
  });
}

type Attempt = readonly [Store, Transaction];

/** Of two commits of one turn, which have the conditions of that moment, either one meets the other. Returns its result. */
async function loser(...attempts: readonly [Attempt, Attempt]): Promise<Result<void>> {
  const results = await Promise.all(attempts.map(([store, one]) => store.commit(one)));
  const lost = results.filter((result) => !result.ok);
  assert.equal(lost.length, 1);
  return lost[0] ?? ok(undefined);
}

function subject(change: StoreChange): string {
  return 'id' in change ? change.id : 'prefix' in change ? change.prefix : '';
}
