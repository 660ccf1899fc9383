import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { decodeNhrp, encodeNhrp } from '#proto/codec/nhrp.ts';
import {
  decodeNodeMessage,
  decodeRegistryMessage,
  encodeNodeMessage,
  encodeRegistryMessage,
} from '#proto/codec/session.ts';
import * as wire from '#proto/gen/dmwg/v1/nhrp.ts';
import { uniquePrefixLength } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import { nhrpMessage, nodeMessage, registryMessage } from './arbitraries.ts';

test('an NHRP message comes back from the wire as it was', () => {
  fc.assert(
    fc.property(nhrpMessage, (message) => {
      const octets = wire.NhrpMessage.encode(encodeNhrp(message)).finish();
      assert.deepEqual(decodeNhrp(wire.NhrpMessage.decode(octets)), { ok: true, value: message });
    }),
    { numRuns: 300 },
  );
});

test('a message of a node comes back from the wire as it was', () => {
  fc.assert(
    fc.property(nodeMessage, (message) => {
      const octets = wire.SessionRequest.encode(encodeNodeMessage(message)).finish();
      assert.deepEqual(decodeNodeMessage(wire.SessionRequest.decode(octets)), { ok: true, value: message });
    }),
  );
});

test('a message of the registry comes back from the wire as it was', () => {
  fc.assert(
    fc.property(registryMessage, (message) => {
      const octets = wire.SessionResponse.encode(encodeRegistryMessage(message)).finish();
      assert.deepEqual(decodeRegistryMessage(wire.SessionResponse.decode(octets)), { ok: true, value: message });
    }),
  );
});

test('decoding never throws, whatever a field holds', () => {
  const odd = fc.oneof(
    fc.string({ maxLength: 80 }),
    fc.constantFrom('', '\0', 'a'.repeat(100_000), '10.0.0.1/33', '::1%eth0', '[::]:0', '-1'),
    fc.constantFrom(-1, 0, 0.5, 256, 65_536, 4_294_967_296, Number.NaN, Number.POSITIVE_INFINITY),
  );
  fc.assert(
    fc.property(registryMessage, nodeMessage, fc.nat(), odd, (fromRegistry, fromNode, where, value) => {
      const response = encodeRegistryMessage(fromRegistry);
      const request = encodeNodeMessage(fromNode);
      replaceLeaf(response, where, value);
      replaceLeaf(request, where, value);
      for (const result of [decodeRegistryMessage(response), decodeNodeMessage(request)]) {
        if (!result.ok) assert.ok(result.fault.message.length < 400, result.fault.message);
      }
    }),
    { numRuns: 500 },
  );
});

test('a fault says where it is', () => {
  const [good] = fc.sample(nhrpMessage, 1);
  assert.ok(good);
  const cie = {
    code: 0,
    prefixLength: 24,
    mtu: 70_000,
    holdingTimeSeconds: 1,
    nbma: [],
    protocolAddress: '',
    preference: 0,
  };
  const value = { noReply: false, cies: [{ ...cie, mtu: 1420 }, cie] };
  const fault = decodeNhrp({ ...encodeNhrp(good), body: { $case: 'purgeRequest', value } });
  assert.deepEqual(fault, {
    ok: false,
    fault: { code: 'out-of-range', message: 'body: cies: [1]: mtu: 70000 is not in 0 to 65535' },
  });
  assert.equal(decodeNhrp({ ...encodeNhrp(good), body: undefined }).ok, false);
});

test('prefix length 0 means 0xFF, and a length fits its family', () => {
  const [good] = fc.sample(nhrpMessage, 1);
  assert.ok(good);
  const decode = (prefixLength: number, protocolAddress: string): number => {
    const cie = { code: 0, prefixLength, mtu: 0, holdingTimeSeconds: 1, nbma: [], protocolAddress, preference: 0 };
    const body: wire.NhrpMessage['body'] = { $case: 'purgeRequest', value: { noReply: false, cies: [cie] } };
    const decoded = must(decodeNhrp({ ...encodeNhrp(good), body })).body;
    assert.ok(decoded.type === 'purge-request');
    return decoded.cies[0]?.prefixLength ?? -1;
  };
  assert.equal(decode(0, '10.0.0.1'), uniquePrefixLength);
  // A default route cannot be said, and is not taken for a host.
  assert.equal(decode(0, '0.0.0.0'), 0);
  assert.equal(decode(0, '::'), 0);
  assert.equal(decode(0xff, '10.0.0.1'), uniquePrefixLength);
  assert.equal(decode(64, '2001:db8::'), 64);
  assert.throws(() => decode(33, '10.0.0.1'), /prefixLength: 33 is not in 1 to 32/);
  assert.throws(() => decode(129, '2001:db8::'), /1 to 128/);
});

/** Overwrites the leaf number `where` (modulo their count) if the value has its type. */
function replaceLeaf(root: object, where: number, value: string | number): void {
  const leaves: (() => void)[] = [];
  const visit = (node: object): void => {
    for (const [key, child] of Object.entries(node) as [string, unknown][]) {
      if (key === '$case') continue;
      if (typeof child === typeof value) leaves.push(() => Object.assign(node, { [key]: value }));
      else if (typeof child === 'object' && child !== null && !Buffer.isBuffer(child)) visit(child);
    }
  };
  visit(root);
  leaves[where % Math.max(leaves.length, 1)]?.();
}
