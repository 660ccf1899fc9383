import assert from 'node:assert/strict';
import test from 'node:test';
import { type BfdPacket, decodeBfdPacket, diagnosticName, encodeBfdPacket } from '#agent/decide/bfd-packet.ts';

const packet: BfdPacket = {
  diagnostic: 3,
  state: 'up',
  poll: true,
  final: false,
  independent: false,
  demand: false,
  multiplier: 3,
  myDiscriminator: 0x01020304,
  yourDiscriminator: 0xfffefdfc,
  desiredMinTx: 300_000,
  requiredMinRx: 1_000_000,
  requiredMinEchoRx: 0,
};
const hex = '23e00318' + '01020304' + 'fffefdfc' + '000493e0' + '000f4240' + '00000000';

function bytes(change: Record<number, number> = {}, text = hex): Uint8Array {
  const result = Uint8Array.from(Buffer.from(text, 'hex'));
  for (const [index, value] of Object.entries(change)) result[Number(index)] = value;
  return result;
}

test('a packet is laid out as in RFC 5880 section 4.1', () => {
  assert.equal(Buffer.from(encodeBfdPacket(packet)).toString('hex'), hex);
  assert.deepEqual(decodeBfdPacket(bytes()), { ok: true, value: packet });
});

test('bytes after the length are ignored', () => {
  assert.deepEqual(decodeBfdPacket(bytes({}, `${hex}ffff`)), { ok: true, value: packet });
});

const discarded: [string, Uint8Array][] = [
  ['bfd-short', bytes().subarray(0, 23)],
  ['bfd-version', bytes({ 0: 0x03 })],
  ['bfd-version', bytes({ 0: 0x43 })],
  ['bfd-length', bytes({ 3: 23 })],
  ['bfd-length', bytes({ 3: 25 })],
  ['bfd-multiplier', bytes({ 2: 0 })],
  ['bfd-multipoint', bytes({ 1: 0xe1 })],
  ['bfd-my-discriminator', bytes({ 4: 0, 5: 0, 6: 0, 7: 0 })],
  ['bfd-your-discriminator', bytes({ 8: 0, 9: 0, 10: 0, 11: 0 })],
  ['bfd-your-discriminator', bytes({ 1: 0x80, 8: 0, 9: 0, 10: 0, 11: 0 })],
  ['bfd-authentication', bytes({ 1: 0xe4 })],
];

for (const [code, input] of discarded) {
  test(`${code}: ${Buffer.from(input).toString('hex')} is discarded`, () => {
    const result = decodeBfdPacket(input);
    assert.equal(result.ok ? 'accepted' : result.fault.code, code);
  });
}

test('Down and AdminDown may come without your discriminator', () => {
  for (const flags of [0x40, 0x00]) {
    assert.ok(decodeBfdPacket(bytes({ 1: flags, 8: 0, 9: 0, 10: 0, 11: 0 })).ok);
  }
});

test('diagnostics have names', () => {
  assert.equal(diagnosticName(1), 'detection-time-expired');
  assert.equal(diagnosticName(31), 'reserved');
});
