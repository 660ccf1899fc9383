// NHRP packets: every message comes back from its octets, and no octets do harm.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Address } from '#proto/model/address.ts';
import { errorCode, type Extension, type NhrpMessage } from '#proto/model/nhrp.ts';
import { must, type Result } from '#proto/model/result.ts';
import type { PlainCie } from '#proto/nhrp/cie.ts';
import { internetChecksum } from '#proto/nhrp/checksum.ts';
import { type KnownExtension, readExtension, writeExtension } from '#proto/nhrp/extensions.ts';
import type { PacketFault } from '#proto/nhrp/fault.ts';
import type { Families } from '#proto/nhrp/header.ts';
import { decodePacket, encodePacket } from '#proto/nhrp/packet.ts';
import { familiesOf } from '#proto/nhrp/split.ts';
import { address4, address6, cie, nhrpMessage } from './arbitraries.ts';

const knownErrors: ReadonlySet<number | undefined> = new Set([
  errorCode.protocolError,
  errorCode.sduTooBig,
  errorCode.invalidExtension,
  undefined,
]);

test('a message comes back from its packet as it was', () => {
  let encoded = 0;
  fc.assert(
    fc.property(nhrpMessage, (message) => {
      const families = familiesOf(message);
      const writable = message.extensions.every((one) => one.type !== 0 && readExtension(one, families).ok);
      const packet = encodePacket(message);
      assert.equal(packet.ok, writable, packet.ok ? 'it should not' : packet.fault.message);
      if (!packet.ok) return;
      encoded += 1;
      assert.equal(internetChecksum(packet.value), 0);
      assert.deepEqual(decodePacket(packet.value), { ok: true, value: message });
    }),
    { numRuns: 2000 },
  );
  assert.ok(encoded > 1000, `only ${String(encoded)} of 2000 messages have a packet`);
});

test('a message with well-formed extensions has a packet, and comes back from it', () => {
  fc.assert(
    fc.property(withKnownExtensions(), ([message, known]) => {
      const packet = must(encodePacket(message));
      const decoded = must(decodePacket(packet));
      assert.deepEqual(decoded, message);
      const families = familiesOf(decoded);
      assert.deepEqual(
        decoded.extensions.map((one) => must(readExtension(one, families))),
        known,
      );
    }),
    { numRuns: 500 },
  );
});

test('random octets are refused with a code of the RFC', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      checkRefusal(decodePacket(bytes), bytes);
    }),
    { numRuns: 2000 },
  );
});

test('random octets after a valid header are read to a message or refused', () => {
  const header = fc.tuple(fc.integer({ min: 1, max: 8 }), fc.boolean(), fc.boolean(), fc.nat(100), fc.boolean());
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 160 }), ([type, four, protocol4, extensions, source], rest) => {
      const start = Uint8Array.from([0, four ? 1 : 2, ...(protocol4 ? [8, 0] : [0x86, 0xdd]), 0, 0, 0, 0, 0, 255]);
      const middle = [0, 20 + rest.length, 0, 0, 0, extensions < 20 ? 0 : extensions, 1, type];
      const bytes = Uint8Array.from([...start, ...middle, source ? (four ? 4 : 16) : 0, 0, ...rest]);
      const size = protocol4 ? 4 : 16;
      if (rest.length > 2) bytes.set([size, size], 20);
      decodeResealed(bytes);
    }),
    { numRuns: 3000 },
  );
});

test('a packet with octets changed, cut or added is read to a message or refused', () => {
  let refused = 0;
  const change = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(
      withKnownExtensions(),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat(), { nil: undefined }),
      ([message], changes, cut) => {
        const bytes = must(encodePacket(message));
        for (const { at, to } of changes) bytes[at % bytes.length] = to;
        const short = cut === undefined ? bytes : bytes.slice(0, cut % bytes.length);
        if (!decodeResealed(short).ok) refused += 1;
      },
    ),
    { numRuns: 3000 },
  );
  assert.ok(refused > 300, `only ${String(refused)} of 3000 were refused`);
});

test('without a right checksum every change is refused', () => {
  fc.assert(
    fc.property(nhrpMessage, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, at, difference) => {
      const packet = encodePacket(message);
      if (!packet.ok) return;
      const bytes = packet.value;
      // Not the size: what lies within a smaller one may add up by accident.
      const where = at % bytes.length;
      if (where === 10 || where === 11) return;
      bytes[where] = (bytes[where] ?? 0) ^ difference;
      checkRefusal(decodePacket(bytes), bytes);
    }),
    { numRuns: 1000 },
  );
});

test('a message and what follows it are told apart', () => {
  fc.assert(
    fc.property(nhrpMessage, fc.uint8Array({ minLength: 1, maxLength: 30 }), (message, padding) => {
      const packet = encodePacket(message);
      if (!packet.ok) return;
      const longer = new Uint8Array([...packet.value, ...padding]);
      assert.deepEqual(decodePacket(longer), { ok: true, value: message });
    }),
  );
});

/** With the size and the checksum that belong to it, so that what lies behind them is reached. What is read can be written again. */
function decodeResealed(bytes: Uint8Array): Result<NhrpMessage, PacketFault> {
  if (bytes.length >= 20) {
    const view = new DataView(bytes.buffer);
    view.setUint16(10, bytes.length);
    view.setUint16(12, 0);
    view.setUint16(12, internetChecksum(bytes));
  }
  const decoded = decodePacket(bytes);
  if (decoded.ok) {
    const again = must(encodePacket(decoded.value));
    assert.deepEqual(must(decodePacket(again)), decoded.value);
  } else checkRefusal(decoded, bytes);
  return decoded;
}

function checkRefusal(decoded: Result<NhrpMessage, PacketFault>, bytes: Uint8Array): void {
  assert.ok(!decoded.ok, 'it was read');
  const { error, offset, message } = decoded.fault;
  assert.ok(knownErrors.has(error), String(error));
  assert.equal(error === undefined, bytes[17] === 7, 'no error is indicated about an Error Indication');
  assert.ok(offset >= 0 && offset <= bytes.length, `offset ${String(offset)} of ${String(bytes.length)}: ${message}`);
  assert.ok(message.length < 400, message);
}

/** Messages whose extensions say something, and what they say. */
function withKnownExtensions(): fc.Arbitrary<[NhrpMessage, readonly KnownExtension[]]> {
  return nhrpMessage.chain((message) => {
    const families = familiesOf({ ...message, extensions: [] });
    return fc.array(known(families), { maxLength: 4 }).map((all): [NhrpMessage, readonly KnownExtension[]] => {
      const extensions: readonly Extension[] = all.map((one) => must(writeExtension(one)));
      // Those of an extension alone decide the family if no endpoint of the message does.
      const complete = { ...message, extensions };
      return [complete, all];
    });
  });
}

function known(families: Families): fc.Arbitrary<Exclude<KnownExtension, { kind: 'other' }>> {
  const cies = fc.array(plainCie(families), { maxLength: 3 });
  const data = fc.uint8Array({ maxLength: 20 });
  return fc.oneof(
    cies.map((some) => ({ kind: 'responder-address' as const, cies: some.slice(0, 1) })),
    cies.map((some) => ({ kind: 'forward-transit' as const, cies: some })),
    cies.map((some) => ({ kind: 'reverse-transit' as const, cies: some })),
    cies.map((some) => ({ kind: 'nat-address' as const, cies: some })),
    fc.stringMatching(/^[ -~]{1,8}$/).map((text) => ({ kind: 'plain-text' as const, text })),
    fc.tuple(fc.integer({ min: 2, max: 0xffff }), data).map(([spi, octets]) => {
      return { kind: 'authentication' as const, spi, data: octets };
    }),
    fc.tuple(fc.integer({ min: 0x030000, max: 0xffffff }), data).map(([vendor, octets]) => {
      return { kind: 'vendor-private' as const, vendor, data: octets };
    }),
  );
}

function plainCie({ nbma, protocol }: Families): fc.Arbitrary<PlainCie> {
  const maybe = (family: 4 | 6): fc.Arbitrary<Address | undefined> =>
    fc.option(family === 4 ? address4 : address6, { nil: undefined });
  return fc
    .tuple(cie, maybe(nbma), maybe(protocol))
    .map(([base, nbmaAddress, protocolAddress]) => ({ ...base, nbma: nbmaAddress, protocolAddress }));
}
