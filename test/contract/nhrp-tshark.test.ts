// What Wireshark's dissector reads in our NHRP packets, field by field. They are in a file; nothing is sent.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Address, addressValue, familyOf } from '#proto/model/address.ts';
import { endpointAddress, endpointFamily } from '#proto/model/endpoint.ts';
import type { Cie, NhrpMessage } from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import { encodePacket } from '#proto/nhrp/packet.ts';
import { dissect } from '#test/support/nhrp-capture.ts';
import { resolutionRequest, samples } from '#test/support/nhrp-samples.ts';

type Fields = Record<string, string[]>;

const numbers: Readonly<Record<NhrpMessage['body']['type'], number>> = {
  'resolution-request': 1,
  'resolution-reply': 2,
  'registration-request': 3,
  'registration-reply': 4,
  'purge-request': 5,
  'purge-reply': 6,
  'error-indication': 7,
  'traffic-indication': 8,
};

/** Values of an extension that the dissector takes apart, by sample; CIEs are [code, prefix, MTU, holding time, NBMA, protocol, preference]. */
type Entry = readonly [number, number, number, number, string, string, number];
const entries: Readonly<Record<string, readonly Entry[]>> = {
  'resolution request with extensions': [
    [0, 255, 1420, 600, '198.51.100.1', '10.99.0.1', 0],
    [0, 255, 1420, 600, '198.51.100.2', '10.99.0.1', 0],
  ],
  'resolution reply': [[0, 255, 1420, 600, '198.51.100.1', '10.99.0.1', 0]],
  'registration reply': [[0, 32, 1420, 7200, '192.0.2.77', '10.99.0.7', 9]],
};

/** Types, compulsory bits, lengths of all extensions; the last is the one that ends them. */
const extensions: Readonly<Record<string, readonly (readonly [type: number, compulsory: boolean, length: number])[]>> =
  {
    'resolution request with extensions': [
      [3, true, 0],
      [4, true, 40],
      [5, true, 0],
      [7, true, 12],
      [0, true, 0],
    ],
    'resolution reply': [
      [3, true, 20],
      [0, true, 0],
    ],
    'resolution reply with a target': [
      [8, false, 174],
      [0, true, 0],
    ],
    'registration request with interfaces': [
      [8, false, 92],
      [0, true, 0],
    ],
    'registration reply': [
      [9, false, 20],
      [0, true, 0],
    ],
    'registration reply with the observed endpoint': [
      [8, false, 15],
      [0, true, 0],
    ],
    'indication with a request id and a port': [
      [8, false, 17],
      [0, true, 0],
    ],
    'foreign extensions': [
      [8, false, 6],
      [0x1234, true, 2],
      [0x2001, false, 0],
      [0, true, 0],
    ],
  };

/** What else is there, by sample. */
const others: Readonly<Record<string, Fields>> = {
  'resolution request with extensions': {
    'nhrp.auth_ext.reserved': ['0'],
    'nhrp.auth_ext.spi': ['1'],
    // The dissector takes the address of the RFC out of Cisco's text: "secr", "et12".
    'nhrp.auth_ext.src_addr': ['115.101.99.114'],
    'nhrp.auth_ext.data': ['65743132'],
  },
  'resolution reply with a target': vendor(
    // Endpoints of CIE 0.
    '0102' + '040023' + '0000' + `0620010db8${'0'.repeat(23)}90001` + '04c63364090002' + '04c0a801090003',
    // The target, its prefixes, the rendezvous.
    '060044' + '0011223344556677' + keyHex() + '03' + '040a630009' + `fd000099${'0'.repeat(23)}9` + hex('branch'),
    '070018' + '1804c0a80900' + `3006fd000009${'0'.repeat(24)}`,
    '08001e' + '0019' + '01f4' + '04c0a801099c41' + `0620010db8${'0'.repeat(23)}99c41`,
  ),
  'registration request with interfaces': vendor(
    '0103' + '090028' + '01' + keyHex() + '04c0a801079c40',
    '090029' + '02' + keyHex() + '0011223344556677',
  ),
  'registration reply with the observed endpoint': vendor('0104' + '0a0007' + '04c000024dee48'),
  'indication with a request id and a port': vendor('0108' + '010004' + '01020304' + '020002' + '9c40'),
  'foreign extensions': {
    'nhrp.vendor_ext.id': ['12'],
    'nhrp.vendor_ext.data': ['010203'],
    'nhrp.unknown_ext.value': ['aabb'],
  },
};

function vendor(...parts: string[]): Fields {
  return { 'nhrp.vendor_ext.id': [String(0x02646d)], 'nhrp.vendor_ext.data': [parts.join('')] };
}

function keyHex(): string {
  return Array.from({ length: 32 }, (_, index) => (index + 1).toString(16).padStart(2, '0')).join('');
}

function hex(text: string): string {
  return Buffer.from(text).toString('hex');
}

function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}

/** IPv4 addresses are shown as such, others as octets. */
function addressFields(name: string, addresses: readonly (Address | undefined)[], bytesName = `${name}_bytes`): Fields {
  const said = addresses.filter((address) => address !== undefined);
  return {
    [name]: said.filter((address) => familyOf(address) === 4),
    [bytesName]: said
      .filter((address) => familyOf(address) === 6)
      .map((address) => addressValue(address).toString(16).padStart(32, '0')),
  };
}

function octetsOf(address: Address | undefined): string {
  return address === undefined ? '0' : familyOf(address) === 4 ? '4' : '16';
}

function headerFields(name: string, message: NhrpMessage, packet: Uint8Array): Fields {
  const { sourceNbma, source, destination, body } = message;
  const nbma = sourceNbma && endpointAddress(sourceNbma);
  const list = extensions[name] ?? [];
  const extensionOctets = list.reduce((sum, [, , length]) => sum + 4 + length, 0);
  return {
    'nhrp.hdr.afn': [sourceNbma && endpointFamily(sourceNbma) === 6 ? '0x0002' : '0x0001'],
    'nhrp.hdr.pro.type': [familyOf(destination) === 6 ? '0x86dd' : '0x0800'],
    'nhrp.protocol_type': ['0000000000'],
    'nhrp.hdr.hopcnt': [String(message.hopCount)],
    'nhrp.hdr.pktsz': [String(packet.length)],
    // 1 is "good".
    'nhrp.hdr.chksum.status': ['1'],
    'nhrp.hdr.extoff': [list.length > 0 ? String(packet.length - extensionOctets) : '0'],
    'nhrp.hdr.version': ['1'],
    'nhrp.hdr.op.type': [String(numbers[body.type])],
    'nhrp.hdr.shtl.type': ['0'],
    'nhrp.hdr.shtl.len': [octetsOf(nbma)],
    'nhrp.hdr.sstl': ['0'],
    'nhrp.src.prot.len': [octetsOf(source)],
    'nhrp.dst.prot.len': [octetsOf(destination)],
    ...addressFields('nhrp.src.nbma.addr', [nbma]),
    ...addressFields('nhrp.src.prot.addr', [source]),
    // The dissector spells it so.
    ...addressFields('nhrp.dst.prot.addr', [destination], 'nhrp.dst.prot.addr_byets'),
    'nhrp.ext.type': list.map(([type]) => hex16(type)),
    'nhrp.ext.c': list.map(([, compulsory]) => (compulsory ? '1' : '0')),
    'nhrp.ext.len': list.map(([, , length]) => String(length)),
  };
}

/** Flags as the dissector names them, and the fields that stand where the request id is otherwise. */
function bodyFields({ body, requestId }: NhrpMessage): Fields {
  const flags = (all: Record<string, boolean>, value: number): Fields => ({
    ...Object.fromEntries(Object.entries(all).map(([letter, set]) => [`nhrp.flag.${letter}`, [set ? '1' : '0']])),
    'nhrp.flag.nat': ['0'],
    'nhrp.flags': [hex16(value)],
    'nhrp.reqid': [`0x${requestId.toString(16).padStart(8, '0')}`],
  });
  switch (body.type) {
    case 'resolution-request': {
      const { router: q, authoritativeOnly: a, unique: u, sourceStable: s } = body;
      return flags({ q, a, d: false, u, s }, (q ? 32768 : 0) + (a ? 16384 : 0) + (u ? 4096 : 0) + (s ? 2048 : 0));
    }
    case 'resolution-reply': {
      const { router: q, authoritative: a, destinationStable: d, unique: u, sourceStable: s } = body;
      const value = (q ? 32768 : 0) + (a ? 16384 : 0) + (d ? 8192 : 0) + (u ? 4096 : 0) + (s ? 2048 : 0);
      return flags({ q, a, d, u, s }, value);
    }
    case 'registration-request':
    case 'registration-reply':
      return flags({ u: body.unique }, body.unique ? 32768 : 0);
    case 'purge-request':
    case 'purge-reply':
      return flags({ n: body.noReply }, body.noReply ? 32768 : 0);
    case 'error-indication':
      return { 'nhrp.err.code': [String(body.code)], 'nhrp.err.offset': [String(body.offset)] };
    case 'traffic-indication':
      // The packet that it is about, after the one around the NHRP packet itself.
      return { 'ip.dst': ['198.51.100.1', '192.168.9.20'] };
  }
}

function cieFields(name: string, message: NhrpMessage): Fields {
  const family = message.sourceNbma ? endpointFamily(message.sourceNbma) : 4;
  const own = ('cies' in message.body ? message.body.cies : []).map((cie: Cie) => {
    const nbma = cie.nbma.find((endpoint) => endpointFamily(endpoint) === family);
    return { ...cie, nbma: nbma && endpointAddress(nbma) };
  });
  const inExtensions = (entries[name] ?? []).map(
    ([code, prefixLength, mtu, holdingTime, nbma, protocol, preference]) => ({
      code,
      prefixLength,
      mtu,
      holdingTime,
      nbma: nbma as Address,
      protocolAddress: protocol as Address,
      preference,
    }),
  );
  const all = [...own, ...inExtensions];
  const column = (value: (cie: (typeof all)[number]) => number): string[] => all.map((cie) => String(value(cie)));
  const nbma = all.map((cie) => cie.nbma);
  const protocol = all.map((cie) => cie.protocolAddress);
  return {
    'nhrp.code': column((cie) => cie.code),
    'nhrp.prefix': column((cie) => cie.prefixLength),
    'nhrp.unused': column(() => 0),
    'nhrp.mtu': column((cie) => cie.mtu),
    'nhrp.htime': column((cie) => cie.holdingTime),
    'nhrp.pref': column((cie) => cie.preference),
    'nhrp.cli.addr_tl': nbma.map(octetsOf),
    'nhrp.cli.saddr_tl': column(() => 0),
    'nhrp.prot.len': protocol.map(octetsOf),
    ...addressFields('nhrp.client.nbma.addr', nbma),
    ...addressFields('nhrp.client.prot.addr', protocol),
  };
}

/** All that the dissector shows of a packet, without what is empty. */
function fieldsOf(name: string, message: NhrpMessage, packet: Uint8Array): Fields {
  return {
    'ip.dst': ['198.51.100.1'],
    ...headerFields(name, message, packet),
    ...bodyFields(message),
    ...cieFields(name, message),
    ...others[name],
  };
}

/** Every field that is expected of some packet, and those that tell of trouble. */
const trouble = ['nhrp.ext.malformed', 'nhrp.ext.extra', 'nhrp.ext.not_allowed', '_ws.expert.message', '_ws.malformed'];
const subaddresses = ['nhrp.src.nbma.saddr', 'nhrp.client.nbma.saddr'];

function present(fields: Readonly<Record<string, readonly string[]>>): Record<string, readonly string[]> {
  return Object.fromEntries(Object.entries(fields).filter(([, values]) => values.length > 0));
}

test('Wireshark reads in our packets what the messages say', async (t) => {
  const offending = must(encodePacket(resolutionRequest));
  const messages = Object.entries(samples(offending)).map(([name, message]) => {
    const packet = must(encodePacket(message));
    return { name, message, packet, fields: fieldsOf(name, message, packet) };
  });
  assert.deepEqual(
    new Set(messages.map(({ message }) => message.body.type)),
    new Set(Object.keys(numbers)),
    'there is a sample of each type',
  );
  const names = [...new Set([...messages.flatMap(({ fields }) => Object.keys(fields)), ...trouble, ...subaddresses])];
  const rows = await dissect(
    messages.map(({ packet }) => packet),
    names,
  );
  assert.equal(rows.length, messages.length);
  for (const [index, { name, message, fields }] of messages.entries()) {
    await t.test(name, () => {
      // The dissector goes on in the packet in error, and shows both one after the other.
      const inner: Fields =
        message.body.type === 'error-indication'
          ? fieldsOf('resolution request with extensions', resolutionRequest, offending)
          : {};
      const both = Object.fromEntries(
        names.map((field) => [field, [...(fields[field] ?? []), ...(field === 'ip.dst' ? [] : (inner[field] ?? []))]]),
      );
      assert.deepEqual(present(rows[index] ?? {}), present(both));
    });
  }
});
