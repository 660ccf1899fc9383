import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import {
  addressValue,
  containsAddress,
  formatAddress,
  parseAddress,
  parsePrefix,
  prefixOf,
} from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';

/** Many zero groups, as in real addresses. */
const ipv6Bytes = fc
  .array(fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.flatMap((group) => [group >> 8, group & 0xff]));
const ipv4Bytes = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 });

test('the text of an address is the canonical one of RFC 5952, and the way back gives the same number', () => {
  fc.assert(
    fc.property(fc.oneof(ipv6Bytes, ipv4Bytes), (bytes) => {
      const reference = ipaddr.fromByteArray(bytes);
      const expected = reference instanceof ipaddr.IPv6 ? reference.toRFC5952String() : reference.toString();
      const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
      const address = formatAddress(bytes.length === 4 ? 4 : 6, value);
      assert.equal(address, expected);
      assert.equal(must(parseAddress(address)), address);
      assert.equal(addressValue(address), value);
    }),
  );
});

test('a prefix contains the addresses that share its bits, and no other', () => {
  fc.assert(
    fc.property(fc.oneof(ipv6Bytes, ipv4Bytes), fc.nat(128), fc.nat(127), (bytes, anyLength, anyBit) => {
      const family = bytes.length === 4 ? 4 : 6;
      const bits = bytes.length * 8;
      const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
      const length = anyLength % (bits + 1);
      const prefix = prefixOf(formatAddress(family, value), length);
      assert.equal(must(parsePrefix(prefix)), prefix);
      const bit = anyBit % bits;
      const flipped = formatAddress(family, value ^ (1n << BigInt(bits - 1 - bit)));
      assert.equal(containsAddress(prefix, flipped), bit >= length);
    }),
  );
});
