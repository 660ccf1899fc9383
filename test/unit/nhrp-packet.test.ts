// The octets of NHRP packets, and what is refused. The layout is RFC 2332 section 5.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Address, parseAddress } from '#proto/model/address.ts';
import { parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey, parsePublicKeyBytes, publicKeyBytes } from '#proto/model/key.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import { milliseconds, seconds } from '#proto/model/time.ts';
import { internetChecksum } from '#proto/nhrp/checksum.ts';
import { extensionType, readExtension, writeExtension } from '#proto/nhrp/extensions.ts';
import { decodePacket, encodePacket } from '#proto/nhrp/packet.ts';
import {
  registrationRequest,
  resolutionRequest,
  sampleCie,
  sampleMessage,
  samples,
  target,
} from '#test/support/nhrp-samples.ts';

const at = (text: string): Address => must(parseAddress(text));
const families = { nbma: 4, protocol: 4 } as const;

function bytes(...hex: string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.join('').replaceAll(' ', ''), 'hex'));
}

function hexOf(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

/** With its size and its checksum. */
function sealed(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  const view = new DataView(copy.buffer);
  view.setUint16(10, copy.length);
  view.setUint16(12, 0);
  view.setUint16(12, internetChecksum(copy));
  return copy;
}

function withOctets(packet: Uint8Array, offset: number, ...octets: number[]): Uint8Array {
  const copy = packet.slice();
  copy.set(octets, offset);
  return copy;
}

/** "error offset: message" */
function refusal(packet: Uint8Array): string {
  const decoded = decodePacket(packet);
  assert.ok(!decoded.ok, 'it was read');
  const { error, offset, message } = decoded.fault;
  return `${String(error)} ${String(offset)}: ${message}`;
}

function unwritable(message: NhrpMessage): string {
  const encoded = encodePacket(message);
  assert.ok(!encoded.ok, 'it was written');
  return `${String(encoded.fault.error)}: ${encoded.fault.message}`;
}

const registrationHex = [
  '0001 0800 0000000000 10 003c a8b1 0000 01 03 04 00',
  '04 04 8000 01020304 cb007107 0a630007 0a630001',
  '00 ff 0000 058c 1c20 04 00 04 00 cb007107 0a630007',
];

test('a registration request is the octets of the RFC and nothing else', () => {
  assert.equal(hexOf(must(encodePacket(registrationRequest))), hexOf(bytes(...registrationHex)));
  assert.deepEqual(must(decodePacket(bytes(...registrationHex))), registrationRequest);
});

test('every sample comes back', () => {
  for (const [name, message] of Object.entries(samples(must(encodePacket(resolutionRequest))))) {
    assert.deepEqual(must(decodePacket(must(encodePacket(message)))), message, name);
  }
});

test('the checksum is that of RFC 1071', () => {
  // The example of its section 3; an odd octet counts as if a zero followed.
  assert.equal(internetChecksum(bytes('0001 f203 f4f5 f6f7')), 0xffff & ~0xddf2);
  assert.equal(internetChecksum(bytes('0001 f203 f4f5 f6')), internetChecksum(bytes('0001 f203 f4f5 f600')));
  assert.equal(internetChecksum(new Uint8Array(70_000).fill(0xff)), 0);
});

test('a key is 32 bytes', () => {
  const { publicKey } = target;
  assert.equal(Buffer.from(publicKeyBytes(publicKey)).toString('base64'), publicKey);
  assert.deepEqual(parsePublicKeyBytes(publicKeyBytes(publicKey)), parsePublicKey(publicKey));
  for (const length of [0, 31, 33]) assert.equal(parsePublicKeyBytes(new Uint8Array(length).fill(1)).ok, false);
  assert.equal(parsePublicKeyBytes(new Uint8Array(32)).ok, false);
});

test('FRR and Cisco send what the codec ignores: flags of their own, padding, reserved fields', () => {
  const packet = must(encodePacket(registrationRequest));
  const natFlag = sealed(withOctets(packet, 22, 0x80, 0x02));
  assert.deepEqual(must(decodePacket(natFlag)), registrationRequest);
  const reserved = sealed(withOctets(withOctets(packet, 4, 1, 2, 3, 4, 5), 42, 0xff, 0xff));
  assert.deepEqual(must(decodePacket(reserved)), registrationRequest);
  assert.deepEqual(must(decodePacket(Uint8Array.from([...packet, 1, 2, 3]))), registrationRequest);
  const zeroPrefix = sealed(withOctets(packet, 41, 0));
  assert.deepEqual(must(decodePacket(zeroPrefix)), registrationRequest);
});

test('a header that cannot be is a protocol error', () => {
  const packet = must(encodePacket(registrationRequest));
  const table: readonly [Uint8Array, string][] = [
    [new Uint8Array(), '7 0: the fixed header has 20 octets'],
    [packet.slice(0, 19), '7 19: the fixed header has 20 octets'],
    [packet.slice(0, 59), '7 10: a size of 60 does not fit 59 octets'],
    [withOctets(packet, 10, 0, 19), '7 10: a size of 19 does not fit 60 octets'],
    [withOctets(packet, 12, 0, 0), '7 12: the checksum is wrong'],
    [sealed(withOctets(packet, 16, 0)), '7 16: version 0 is not 1'],
    [sealed(withOctets(packet, 17, 0)), '7 17: 0 is not a packet type: 1 to 8'],
    [sealed(withOctets(packet, 17, 9)), '7 17: 9 is not a packet type: 1 to 8'],
    [sealed(withOctets(packet, 0, 0, 8)), '7 0: 8 is not an address family: 1 or 2'],
    [sealed(withOctets(packet, 2, 0, 0x80)), '7 2: 0x80 is not a protocol: 0x800 or 0x86dd'],
    [sealed(withOctets(packet, 18, 16)), '7 18: ar$shtl 16 is not that of the address family'],
    [sealed(withOctets(packet, 18, 0x44)), '7 18: ar$shtl 68 is not that of the address family'],
    [sealed(withOctets(packet, 19, 4)), '7 19: IP addresses have no subaddress'],
    [sealed(withOctets(packet, 14, 0, 61)), '7 14: extensions at 61 are not in the packet'],
    [sealed(withOctets(packet, 14, 0, 19)), '7 14: extensions at 19 are not in the packet'],
  ];
  for (const [bad, expected] of table) assert.equal(refusal(bad), expected);
});

test('a mandatory part that cannot be is a protocol error', () => {
  const packet = must(encodePacket(registrationRequest));
  const table: readonly [Uint8Array, string][] = [
    [sealed(withOctets(packet, 20, 16)), '7 20: the source is not of the protocol'],
    [sealed(withOctets(packet, 21, 0)), '7 21: the destination is not of the protocol'],
    [sealed(withOctets(packet, 20, 0)), '7 44: an NBMA length of 5 is not that of the address family'],
    [sealed(withOctets(packet, 48, 16)), '7 48: an NBMA length of 16 is not that of the address family'],
    [sealed(withOctets(packet, 49, 4)), '7 49: IP addresses have no subaddress'],
    [sealed(withOctets(packet, 50, 16)), '7 50: a protocol address length of 16 is not that of the protocol'],
    [sealed(withOctets(packet, 41, 33)), '7 20: a prefix length of a CIE is too long'],
    [sealed(packet.slice(0, 50)), '7 50: 1 octets are needed here, and 0 are left'],
  ];
  for (const [bad, expected] of table) assert.equal(refusal(bad), expected);
});

test('nothing is indicated about an Error Indication', () => {
  const packet = must(encodePacket(sampleMessage({ type: 'error-indication', code: 7, offset: 0, contents: bytes() })));
  assert.equal(refusal(withOctets(packet, 12, 0, 0)), 'undefined 12: the checksum is wrong');
  assert.equal(refusal(sealed(withOctets(packet, 16, 9))), 'undefined 16: version 9 is not 1');
});

test('extensions that cannot be are invalid ones', () => {
  const plain = must(encodePacket(registrationRequest));
  const withExtensions = (...hex: string[]) => {
    const packet = Uint8Array.from([...plain, ...bytes(...hex)]);
    return sealed(withOctets(packet, 14, 0, plain.length));
  };
  const ours = '0008 00';
  const table: readonly [string, string][] = [
    ['', '9 60: the extensions have no end'],
    ['8003 0000', '9 64: the extensions have no end'],
    ['8000 0001 00', '9 60: the last extension has a value'],
    ['8000 0000 00', '9 64: something follows the last extension'],
    ['8003 0008 0000', '9 64: 8 octets are needed here, and 2 are left'],
    ['8004 0003 000000 8000 0000', '9 66: 2 octets are needed here, and 1 are left'],
    ['8007 0002 0000 8000 0000', '9 66: 2 octets are needed here, and 0 are left'],
    ['0008 0002 0000 8000 0000', '9 65: 2 octets are needed here, and 1 are left'],
    [`${ours}04 02646d02 8000 0000`, '9 60: version 2 of the extension is not 1'],
    [`${ours}04 02646d01 8000 0000`, '9 60: the packet type is missing'],
    [`${ours}08 02646d0103 0b0000 8000 0000`, '9 69: 11 is not an element: 1 to 10'],
    [`${ours}0a 02646d0103 0200020000 8000 0000`, '9 72: 0 is not a port'],
    [`${ours}0b 02646d0103 020003138800 8000 0000`, '9 69: element 2 is too long'],
    [`${ours}0c 02646d0103 010004 00000001 8000 0000`, '9 69: element 1 has no place in a registration-request'],
    [`${ours}0d 02646d0103 040005 0001 04 0000 8000 0000`, '9 75: 4 octets are needed here, and 2 are left'],
    [`${ours}0a 02646d0103 040002 0001 8000 0000`, '9 60: an element is about a CIE that is not there'],
    [`${ours}0a 02646d0103 040002 0000 8000 0000`, '9 60: the endpoints of CIE 0 are not those in it'],
    [`${ours}05 02646d0103 ${ours}05 02646d0103 8000 0000`, '9 69: the vendor-private extension is there twice'],
  ];
  for (const [hex, expected] of table) assert.equal(refusal(withExtensions(hex)), expected, hex);
});

test("the request's vendor-private extension in a reply is not the reply's", () => {
  const echo = { type: extensionType.vendorPrivate, compulsory: false, value: bytes('02646d0103 020002 1388') };
  const reply = sampleMessage(
    { type: 'registration-reply', unique: true, cies: [sampleCie()], observedEndpoint: undefined },
    { extensions: [echo] },
  );
  assert.deepEqual(must(decodePacket(must(encodePacket(reply)))), reply);
});

test('what does not fit is not written', () => {
  const purge = (more: Parameters<typeof sampleCie>[0]): NhrpMessage =>
    sampleMessage({ type: 'purge-request', noReply: false, cies: [sampleCie(more)] });
  const table: readonly [NhrpMessage, string][] = [
    [{ ...registrationRequest, hopCount: 256 }, '7: hop count: 256 does not fit 8 bits'],
    [{ ...registrationRequest, requestId: 2 ** 32 }, '7: request id: 4294967296 does not fit 32 bits'],
    [purge({ code: -1 }), '7: code: -1 does not fit 8 bits'],
    [purge({ mtu: 65_536 }), '7: MTU: 65536 does not fit 16 bits'],
    [purge({ holdingTime: seconds(0.5) }), '7: holding time: 0.5 does not fit 16 bits'],
    [purge({ preference: Number.NaN }), '7: preference: NaN does not fit 8 bits'],
    [purge({ prefixLength: 33 }), '7: a prefix length of a CIE is too long'],
    [
      { ...registrationRequest, extensions: [{ type: 0, compulsory: true, value: bytes() }] },
      '9: extension: 0 is not a type: 1 to 16383',
    ],
    [
      { ...registrationRequest, extensions: [{ type: 4, compulsory: true, value: bytes('00') }] },
      '9: extension 4: 1 octets are needed here, and 0 are left',
    ],
    [
      { ...registrationRequest, extensions: [{ type: 8, compulsory: false, value: bytes('02646d0103') }] },
      '9: the vendor-private extension is made here',
    ],
    [
      { ...registrationRequest, extensions: [{ type: 99, compulsory: false, value: new Uint8Array(65_536) }] },
      '8: the packet has 65602 octets; its size field holds 65535',
    ],
    [
      sampleMessage({ type: 'traffic-indication', contents: new Uint8Array(65_500) }, { requestId: 0 }),
      '8: the packet has 65540 octets; its size field holds 65535',
    ],
    [
      sampleMessage({
        ...(resolutionRequest.body as Extract<NhrpMessage['body'], { type: 'resolution-request' }>),
        target: { ...target, rendezvous: { startAfter: milliseconds(0), round: milliseconds(0), rounds: [] } },
      }),
      '7: 0 ms are not 1 to 60000',
    ],
  ];
  for (const [message, expected] of table) assert.equal(unwritable(message), expected);
});

test('what the known extensions say', () => {
  const text = must(writeExtension({ kind: 'plain-text', text: 'secret' }));
  assert.equal(hexOf(text.value), '00000001736563726574');
  assert.equal(text.compulsory, true);
  assert.deepEqual(must(readExtension(text, families)), { kind: 'plain-text', text: 'secret' });
  assert.equal(writeExtension({ kind: 'plain-text', text: 'nine char' }).ok, false);
  assert.equal(writeExtension({ kind: 'authentication', spi: 65_536, data: bytes() }).ok, false);
  // The device capabilities of RFC 2735 have the number that Cisco uses for NAT.
  const capabilities = { type: extensionType.natAddress, compulsory: false, value: bytes('00000001 00000000') };
  assert.deepEqual(must(readExtension(capabilities, families)), { kind: 'other' });
  const { nbma: _, ...cie } = sampleCie();
  const entry = { ...cie, nbma: at('192.0.2.1') };
  const nat = must(writeExtension({ kind: 'nat-address', cies: [entry] }));
  assert.equal(nat.compulsory, false);
  assert.deepEqual(must(readExtension(nat, families)), { kind: 'nat-address', cies: [entry] });
  const two = must(writeExtension({ kind: 'responder-address', cies: [entry, entry] }));
  assert.equal(readExtension(two, families).ok, false);
});

test('a message of two families has both', () => {
  const message = sampleMessage(
    {
      type: 'purge-request',
      noReply: false,
      cies: [
        sampleCie({
          nbma: [must(parseEndpoint('[2001:db8::1]:5')), must(parseEndpoint('192.0.2.1:51820'))],
          protocolAddress: at('10.99.0.7'),
        }),
      ],
    },
    { source: at('10.99.0.7'), destination: at('fd00:99::1') },
  );
  const packet = must(encodePacket(message));
  assert.equal(packet[20], 0, 'the packet has no source of its protocol');
  assert.deepEqual(must(decodePacket(packet)), message);
});
