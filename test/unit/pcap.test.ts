import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { loggedPacket, PcapReader, type PcapRecord } from '#agent/observe/pcap.ts';
import { must } from '#proto/model/result.ts';

// Captured by tcpdump 4.99.3 from `log group 7 snaplen 64`: one echo request over IPv4 and one over IPv6.
const fileHeader = 'd4c3b2a1' + '02000400' + '0000000000000000' + '80000000' + 'ef000000';
const record4 =
  '5a88046b48d207007000000070000000' +
  '02000007080001000800030005000a000000000008000500000000010800' +
  '0b000000000008000e0000000000440009004500005439944000400103137f0000017f0000010800e25f350800015a88046b00000000bbd0070000000000' +
  '101112131415161718191a1b1c1d1e1f20212223';
const record6 =
  '5a88046bbde207007000000070000000' +
  '0a0000070800010086dd030005000a00000000000800050000000001' +
  '08000b000000000008000e0000000000440009006003fc3500403a4000000000000000000000000000000001' +
  '00000000000000000000000000000001800057d1350900015a88046b00000000cde1070000000000';

function bytes(...hex: string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.join(''), 'hex'));
}

function ends(records: readonly PcapRecord[]): string[] {
  return records.map((record) => {
    const packet = must(loggedPacket(record));
    return `${packet.source} > ${packet.destination} ${String(packet.head.length)}`;
  });
}

const expected = ['127.0.0.1 > 127.0.0.1 64', '::1 > ::1 64'];

test('a captured stream gives the ends of its packets', () => {
  assert.deepEqual(ends(must(new PcapReader().push(bytes(fileHeader, record4, record6)))), expected);
});

test('it does not matter where the stream is cut', () => {
  const stream = bytes(fileHeader, record4, record6);
  for (const size of [1, 7, 16, 24, 41, 127]) {
    const reader = new PcapReader();
    const records: PcapRecord[] = [];
    for (let at = 0; at < stream.length; at += size) records.push(...must(reader.push(stream.subarray(at, at + size))));
    assert.deepEqual(ends(records), expected, `pieces of ${String(size)}`);
  }
});

test('a big-endian stream with nanoseconds is understood too', () => {
  const stream = bytes(
    'a1b23c4d' + '00020004' + '0000000000000000' + '00000080' + '000000ef',
    '000000010000000200000020000000' + '20',
    '02000007' + '00180009',
    '45000014000000004001000' + '0' + '0a0000010a000002',
    '00000000',
  );
  assert.deepEqual(ends(must(new PcapReader().push(stream))), ['10.0.0.1 > 10.0.0.2 20']);
});

const faults: [string, Uint8Array][] = [
  ['pcap-magic', bytes('00'.repeat(24))],
  ['pcap-version', bytes('d4c3b2a1' + '03000400' + '0000000000000000' + '80000000' + 'ef000000')],
  ['pcap-link-type', bytes('d4c3b2a1' + '02000400' + '0000000000000000' + '80000000' + '01000000')],
  ['pcap-record', bytes(fileHeader, '0000000000000000ffffffffffffffff')],
];

for (const [code, stream] of faults) {
  test(`${code}: the stream is refused, and stays so`, () => {
    const reader = new PcapReader();
    for (const piece of [stream, bytes(fileHeader)]) {
      const result = reader.push(piece);
      assert.equal(result.ok ? 'accepted' : result.fault.code, code);
    }
  });
}

const strange: [string, string][] = [
  ['nflog-short', '0200'],
  ['nflog-version', '02010007'],
  ['nflog-attribute', '0200000703000900'],
  ['nflog-no-payload', '020000070800010008000300'],
  ['nflog-not-ip', '0200000708000900' + '45000000'],
  ['nflog-not-ip', '0200000708000900' + '60000000'],
  ['nflog-not-ip', '0200000704000900'],
];

for (const [code, hex] of strange) {
  test(`${code}: ${hex}`, () => {
    const result = loggedPacket({ data: bytes(hex), littleEndian: true });
    assert.equal(result.ok ? 'accepted' : result.fault.code, code);
  });
}

test('no bytes make it throw', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 })), fc.boolean(), (pieces, littleEndian) => {
      const reader = new PcapReader();
      reader.push(bytes(fileHeader));
      for (const piece of pieces) {
        const records = reader.push(piece);
        if (records.ok) for (const record of records.value) loggedPacket(record);
        loggedPacket({ data: piece, littleEndian });
        loggedPacket({ data: Uint8Array.from([2, 0, 0, 7, ...piece]), littleEndian });
      }
    }),
    { numRuns: 500 },
  );
});
