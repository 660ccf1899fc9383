// Hop count, transit records and the responder's address (RFC 2332 5.1, 5.3).
import assert from 'node:assert/strict';
import test from 'node:test';
import { errorCode, type Extension } from '#proto/model/nhrp.ts';
import { extensionError, readRecords, relayed, serverOf, signed, transitExtension } from '#registry/decide/transit.ts';
import { overlayRecord, resolution } from '#test/support/registry-fixtures.ts';

const one = serverOf(overlayRecord(), { id: 'replica-1' });
const two = serverOf(overlayRecord(), { id: 'replica-2' });

const extension = (type: number, parts: Partial<Extension> = {}): Extension => ({
  type,
  compulsory: true,
  value: new Uint8Array(),
  ...parts,
});
const request = (extensions: readonly Extension[], parts: { hopCount?: number; six?: boolean } = {}) => ({
  ...(parts.six ? resolution('fd99::1', 'fd99::2') : resolution('10.99.0.1', '10.99.0.2')),
  hopCount: parts.hopCount ?? 16,
  extensions,
});

test('each replica has an address of its own in either protocol', () => {
  assert.equal(new Set([one[4], one[6], two[4], two[6]]).size, 4);
  assert.match(one[4], /^2[45]\d\./);
  assert.match(one[6], /^fd12:3456:789a:bcde:/);
});

test('a request that is relayed collects the servers on its way, in the protocol of the message', () => {
  for (const six of [false, true]) {
    const first = relayed(request([extension(2, { compulsory: false }), extension(4)], { six }), one);
    assert.ok(typeof first !== 'number');
    const second = relayed(first, two);
    assert.ok(typeof second !== 'number');
    assert.equal(second.hopCount, 14);
    assert.deepEqual(
      second.extensions.map(({ type }) => type),
      [2, 4],
    );
    const family = six ? 6 : 4;
    assert.deepEqual(readRecords(second.extensions[1]?.value ?? new Uint8Array()), [one[family], two[family]]);
    assert.equal(relayed(second, one), errorCode.loop);
    assert.equal(extensionError(second, one), errorCode.loop);
    assert.equal(extensionError(second, serverOf(overlayRecord(), { id: 'replica-3' })), undefined);
  }
});

test('a request that has no hop left goes no further', () => {
  assert.equal(relayed(request([], { hopCount: 0 }), one), errorCode.hopCountExceeded);
});

test('a server that does not know a compulsory extension forwards it, and does not record itself', () => {
  const extensions = [extension(4), extension(99)];
  const onward = relayed(request(extensions), one);
  assert.ok(typeof onward !== 'number');
  assert.deepEqual(onward.extensions, extensions);
  assert.equal(extensionError(request(extensions), one), errorCode.unrecognisedExtension);
});

test('a record that is none is an invalid extension', () => {
  const value = Uint8Array.from([0, 255, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 1, 2, 3]);
  assert.equal(extensionError(request([extension(5, { value })]), one), errorCode.invalidExtension);
});

test('the responder is named only where it is asked for', () => {
  const extensions = [extension(3), extension(5), extension(7, { compulsory: false })];
  const reply = signed(request(extensions), one);
  assert.deepEqual(readRecords(reply.extensions[0]?.value ?? new Uint8Array()), [one[4]]);
  assert.deepEqual(reply.extensions.slice(1), extensions.slice(1));
  assert.equal(reply.extensions[0]?.type, transitExtension.responderAddress);
  assert.deepEqual(signed(request([]), one).extensions, []);
});
