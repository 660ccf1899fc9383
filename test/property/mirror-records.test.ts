// Keys and records as etcd stores them: what is written is read back, and nothing else is accepted.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { must } from '#proto/model/result.ts';
import { seconds, milliseconds } from '#proto/model/time.ts';
import { keyOf, keyText, overlayRoot, parseKeyText } from '#registry/store/keys.ts';
import type { Put } from '#registry/store/port.ts';
import { decodeRecord, encodeRecord, requestOf } from '#registry/store/record-codec.ts';
import { address, endpoint, nodeId, nodeName, prefix, publicKey } from '#test/property/arbitraries.ts';
import { at, overlayRecord } from '#test/support/registry-fixtures.ts';

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const few = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(value, { maxLength: 3 });
const octet = fc.integer({ min: 0, max: 255 });
const word = fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' });
const natural = fc.nat();
const moment = fc.nat().map(at);
const role = fc.constantFrom('hub' as const, 'spoke' as const);
const options = { noNullPrototype: true } as const;

const put: fc.Arbitrary<Put> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('overlay' as const),
      record: fc
        .tuple(maybe(prefix), few(prefix), natural, fc.constantFrom(1 as const, 2 as const, 3 as const))
        .map(([pool6, summaries, time, phase]) =>
          overlayRecord({ pool6, summaries, phase, holdingTime: seconds(time), bfdInterval: milliseconds(time) }),
        ),
    },
    options,
  ),
  fc.record(
    {
      kind: fc.constant('node' as const),
      record: fc.record(
        {
          id: nodeId,
          name: nodeName,
          role,
          address,
          address6: maybe(address),
          prefixes: few(prefix),
          tags: few(word),
          endpoints: few(endpoint),
          priority: fc.integer({ min: 0, max: 255 }),
          cluster: fc.integer({ min: 0, max: 255 }),
          draining: fc.boolean(),
          createdAt: moment,
          policy: few(
            fc.record(
              {
                action: fc.constantFrom('allow' as const, 'deny' as const),
                prefix,
                least: fc.nat(128),
                most: fc.nat(128),
                shared: fc.boolean(),
              },
              options,
            ),
          ),
        },
        options,
      ),
    },
    options,
  ),
  fc.record(
    {
      kind: fc.constant('binding' as const),
      record: fc.record(
        {
          node: nodeId,
          interfaces: few(
            fc.record(
              {
                kind: fc.constantFrom('multipoint' as const, 'hub-tunnel' as const),
                publicKey,
                hub: maybe(nodeId),
                endpoints: few(endpoint),
              },
              options,
            ),
          ),
          announcements: few(
            fc.record({ prefix, preference: fc.integer({ min: 0, max: 255 }), since: moment }, options),
          ),
          refused: few(
            fc.record({ prefix, preference: fc.integer({ min: 0, max: 255 }), since: moment, reason: word }, options),
          ),
          unique: fc.boolean(),
          mtu: natural,
          holdingTime: natural.map(seconds),
          registeredAt: moment,
          agentVersion: word,
          observed: few(fc.record({ publicKey, endpoint, hub: nodeId }, options)),
          lostAt: maybe(moment),
        },
        options,
      ),
    },
    options,
  ),
  fc.record(
    {
      kind: fc.constant('token' as const),
      record: fc.record(
        {
          id: word,
          secretHash: fc.stringMatching(/^[0-9a-f]{64}$/),
          role,
          prefixes: few(prefix),
          shared: fc.boolean(),
          tags: few(word),
          usesLeft: natural,
          expiresAt: moment,
          createdAt: moment,
        },
        options,
      ),
    },
    options,
  ),
  fc
    .tuple(
      nodeId,
      nodeName,
      moment,
      fc.constantFrom('revoked' as const, 'left' as const),
      maybe(address),
      fc.array(prefix),
    )
    .map(
      ([node, name, at, reason, own, prefixes]): Put => ({
        kind: 'revocation',
        record: { node, name, at, reason, address: own, address6: undefined, prefixes },
      }),
    ),
  fc
    .tuple(word, fc.array(prefix), natural, moment)
    .map(([id, classes, after, until]): Put => ({ kind: 'clear', record: { id, classes, after, until } })),
  fc.tuple(nodeId, word).map(([node, replica]): Put => ({ kind: 'session', record: { node, replica } })),
  fc
    .tuple(word, word, maybe(fc.record({ address: word, priority: octet, cluster: octet }, options)))
    .map(([id, host, open]): Put => ({ kind: 'replica', record: { id, address: host, public: open } })),
  fc.tuple(nodeName, nodeId).map(([name, node]): Put => ({ kind: 'claim-name', name, node })),
  fc.tuple(address, nodeId).map(([one, node]): Put => ({ kind: 'claim-address', address: one, node })),
  fc.tuple(prefix, nodeId).map(([one, node]): Put => ({ kind: 'claim-prefix', prefix: one, node })),
  fc.tuple(publicKey, nodeId).map(([one, node]): Put => ({ kind: 'claim-key', publicKey: one, node })),
);

test('a key reads back, and has as many segments as its kind', () => {
  fc.assert(
    fc.property(put, (one) => {
      const text = keyText(keyOf(one));
      assert.deepEqual(must(parseKeyText(text)), keyOf(one));
      assert.equal(text.split('/').length, one.kind === 'overlay' ? 1 : one.kind.startsWith('claim') ? 3 : 2);
    }),
  );
});

test('a record reads back, with the request that wrote it', () => {
  fc.assert(
    fc.property(put, fc.uuid(), (one, request) => {
      const value = encodeRecord(one, request);
      assert.deepEqual(must(decodeRecord(keyOf(one), value)), one);
      assert.equal(requestOf(value), request);
    }),
  );
});

/** Fields that came later: what was written before them is read with their defaults. */
const later = new Set([
  'maxConnections',
  'fallbackTime',
  'prefixLimit',
  'cluster',
  'draining',
  'policy',
  'refused',
  'public',
  'shared',
]);
const laterOfRevocation = new Set(['address', 'address6', 'prefixes']);

test('a record with a part missing or out of its range is refused, and never throws', () => {
  fc.assert(
    fc.property(put, fc.nat(), fc.jsonValue(), (one, pick, junk) => {
      const stored = JSON.parse(encodeRecord(one, 'r')) as { record: Record<string, unknown> };
      const names = Object.keys(stored.record);
      const field = names[pick % names.length] ?? '';
      const refused = (record: object): void => {
        const result = decodeRecord(keyOf(one), JSON.stringify({ ...stored, record }));
        assert.ok(!result.ok && result.fault.code === 'corrupt-record');
      };
      if (!later.has(field) && !(one.kind === 'revocation' && laterOfRevocation.has(field)))
        refused(Object.fromEntries(Object.entries(stored.record).filter(([key]) => key !== field)));
      refused({ ...stored.record, [field]: { not: 'this' } });
      decodeRecord(keyOf(one), JSON.stringify({ ...stored, record: { ...stored.record, [field]: junk } }));
      decodeRecord(keyOf(one), JSON.stringify(junk));
    }),
  );
});

test('another version, another key and what is not JSON are faults of their own', () => {
  const one: Put = { kind: 'replica', record: { id: 'one', address: 'host:1' } };
  const stored = JSON.parse(encodeRecord(one, 'r')) as object;
  const code = (value: string, id = 'one'): string | undefined => {
    const result = decodeRecord({ kind: 'replica', id }, value);
    return result.ok ? undefined : result.fault.code;
  };
  assert.equal(code(JSON.stringify(stored)), undefined);
  assert.equal(code(JSON.stringify({ ...stored, v: 2 })), 'unknown-version');
  assert.equal(code(JSON.stringify({ ...stored, v: 2, more: true })), 'unknown-version');
  assert.equal(code(JSON.stringify({ ...stored, v: '1' })), 'corrupt-record');
  assert.equal(code(JSON.stringify(stored), 'two'), 'corrupt-record');
  assert.equal(code('{"v":1'), 'corrupt-record');
  assert.equal(code(''), 'corrupt-record');
});

test('keys that are not written so are not read', () => {
  const texts = [
    '',
    'nodes',
    'nodes/xyz',
    'nodes/0123456789ABCDEF',
    'nodes/0123456789abcdef/more',
    'claims/address/010.0.0.1',
    'claims/address/FD00::1',
    'claims/prefix/10.0.0.1_8',
    'claims/prefix/10.0.0.0/8',
    'claims/key/short',
    'tokens/%zz',
    'tokens/a%2fb',
    'overlay/x',
    'others/x',
  ];
  for (const text of texts) assert.equal(parseKeyText(text).ok, false, text);
  assert.equal(overlayRoot('a/b'), '/dmwg/v1/a%2Fb/');
});
