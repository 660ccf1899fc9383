// One message of each NHRP packet type, and more where a type has more to say.
import { type Address, parseAddress, parsePrefix } from '#proto/model/address.ts';
import { type Endpoint, parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey } from '#proto/model/key.ts';
import { parseNodeId, parseNodeName } from '#proto/model/names.ts';
import {
  type Cie,
  cieCode,
  errorCode,
  type Extension,
  type NhrpBody,
  type NhrpMessage,
  type Target,
} from '#proto/model/nhrp.ts';
import { must } from '#proto/model/result.ts';
import { milliseconds, seconds } from '#proto/model/time.ts';
import { type KnownExtension, writeExtension } from '#proto/nhrp/extensions.ts';

const at = (text: string): Address => must(parseAddress(text));
const end = (text: string): Endpoint => must(parseEndpoint(text));
/** 32 bytes: 1, 2, 3 and so on. */
const publicKey = must(parsePublicKey('AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA='));

export function sampleCie(more: Partial<Cie> = {}): Cie {
  return {
    code: cieCode.ok,
    prefixLength: 0xff,
    mtu: 1420,
    holdingTime: seconds(7200),
    nbma: [end('203.0.113.7:51820')],
    protocolAddress: at('10.99.0.7'),
    preference: 0,
    ...more,
  };
}

export function sampleMessage(body: NhrpBody, more: Partial<NhrpMessage> = {}): NhrpMessage {
  return {
    hopCount: 16,
    requestId: 0x01020304,
    sourceNbma: end('203.0.113.7:51820'),
    source: at('10.99.0.7'),
    destination: at('10.99.0.1'),
    extensions: [],
    body,
    ...more,
  };
}

function extension(known: Exclude<KnownExtension, { kind: 'other' }>): Extension {
  return must(writeExtension(known));
}

const { nbma: _, ...hub } = sampleCie({ holdingTime: seconds(600), protocolAddress: at('10.99.0.1') });
const hubEntry = { ...hub, nbma: at('198.51.100.1') };
const { nbma: __, ...natted } = sampleCie({ prefixLength: 32, preference: 9 });

export const target: Target = {
  node: must(parseNodeId('0011223344556677')),
  name: must(parseNodeName('branch')),
  address: at('10.99.0.9'),
  address6: at('fd00:99::9'),
  prefixes: [must(parsePrefix('192.168.9.0/24')), must(parsePrefix('fd00:9::/48'))],
  publicKey,
  nat: true,
  rendezvous: {
    startAfter: milliseconds(25),
    round: milliseconds(500),
    rounds: [end('192.168.1.9:40001'), end('[2001:db8::9]:40001')],
  },
};

export const resolutionRequest = sampleMessage(
  {
    type: 'resolution-request',
    router: true,
    authoritativeOnly: true,
    unique: true,
    sourceStable: true,
    cies: [sampleCie()],
    target: undefined,
  },
  {
    destination: at('192.168.9.20'),
    extensions: [
      extension({ kind: 'responder-address', cies: [] }),
      extension({ kind: 'forward-transit', cies: [hubEntry, { ...hubEntry, nbma: at('198.51.100.2') }] }),
      extension({ kind: 'reverse-transit', cies: [] }),
      extension({ kind: 'plain-text', text: 'secret12' }),
    ],
  },
);

export const registrationRequest = sampleMessage({
  type: 'registration-request',
  unique: true,
  cies: [sampleCie()],
  interfaces: [],
  additive: false,
});

const trafficHead = Uint8Array.from([
  0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0x26, 0x32, 10, 99, 0, 7, 192, 168, 9, 20, 0x13, 0x88, 0x17, 0x70, 0, 8, 0, 0,
]);

/** By what they show. `offending` is the packet in error. */
export function samples(offending: Uint8Array): Readonly<Record<string, NhrpMessage>> {
  return {
    'resolution request with extensions': resolutionRequest,
    'resolution request without flags': sampleMessage({
      type: 'resolution-request',
      router: false,
      authoritativeOnly: false,
      unique: false,
      sourceStable: false,
      cies: [],
      target: undefined,
    }),
    'resolution reply': sampleMessage(
      {
        type: 'resolution-reply',
        router: true,
        authoritative: false,
        destinationStable: true,
        unique: false,
        sourceStable: false,
        cies: [
          sampleCie({ prefixLength: 24, preference: 255, nbma: [end('198.51.100.9:51820')] }),
          sampleCie({ mtu: 0, holdingTime: seconds(1), nbma: [], protocolAddress: undefined }),
        ],
        target: undefined,
      },
      { extensions: [extension({ kind: 'responder-address', cies: [hubEntry] })] },
    ),
    'resolution reply with a target': sampleMessage({
      type: 'resolution-reply',
      router: false,
      authoritative: true,
      destinationStable: false,
      unique: true,
      sourceStable: true,
      cies: [sampleCie({ nbma: [end('[2001:db8::9]:1'), end('198.51.100.9:2'), end('192.168.1.9:3')] })],
      target,
    }),
    'resolution refused': sampleMessage({
      type: 'resolution-reply',
      router: false,
      authoritative: false,
      destinationStable: false,
      unique: false,
      sourceStable: false,
      cies: [sampleCie({ code: cieCode.noBinding, mtu: 0, holdingTime: seconds(0), nbma: [] })],
      target: undefined,
    }),
    'registration request': registrationRequest,
    'registration request with interfaces': sampleMessage({
      type: 'registration-request',
      unique: false,
      cies: [sampleCie({ prefixLength: 24 })],
      interfaces: [
        { kind: 'multipoint', publicKey, hub: undefined, endpoints: [end('192.168.1.7:40000')] },
        { kind: 'hub-tunnel', publicKey, hub: target.node, endpoints: [] },
      ],
      additive: false,
    }),
    'registration reply': sampleMessage(
      {
        type: 'registration-reply',
        unique: true,
        cies: [sampleCie({ code: cieCode.alreadyRegistered })],
        observedEndpoint: undefined,
      },
      { extensions: [extension({ kind: 'nat-address', cies: [{ ...natted, nbma: at('192.0.2.77') }] })] },
    ),
    'registration reply with the observed endpoint': sampleMessage({
      type: 'registration-reply',
      unique: false,
      cies: [],
      observedEndpoint: end('192.0.2.77:61000'),
    }),
    'purge request': sampleMessage({ type: 'purge-request', noReply: true, cies: [sampleCie({ prefixLength: 16 })] }),
    'purge reply': sampleMessage({ type: 'purge-reply', noReply: false, cies: [sampleCie({ prefixLength: 16 })] }),
    'error indication': sampleMessage(
      { type: 'error-indication', code: errorCode.hopCountExceeded, offset: 9, contents: offending },
      { requestId: 0 },
    ),
    'traffic indication': sampleMessage(
      { type: 'traffic-indication', contents: trafficHead },
      { requestId: 0, hopCount: 1, destination: at('192.168.9.20') },
    ),
    'indication with a request id and a port': sampleMessage(
      { type: 'traffic-indication', contents: trafficHead },
      { hopCount: 1, sourceNbma: end('203.0.113.7:40000') },
    ),
    'purge request over IPv6': sampleMessage(
      {
        type: 'purge-request',
        noReply: false,
        cies: [sampleCie({ nbma: [end('[2001:db8::7]:51820')], protocolAddress: at('fd00:99::7') })],
      },
      {
        sourceNbma: end('[2001:db8::7]:51820'),
        source: at('fd00:99::7'),
        destination: at('fd00:99::1'),
      },
    ),
    'purge request without NBMA addresses': sampleMessage(
      { type: 'purge-request', noReply: false, cies: [sampleCie({ nbma: [] })] },
      { sourceNbma: undefined },
    ),
    'foreign extensions': sampleMessage(
      { type: 'purge-request', noReply: false, cies: [] },
      {
        extensions: [
          extension({ kind: 'vendor-private', vendor: 0x00000c, data: Uint8Array.from([1, 2, 3]) }),
          { type: 0x1234, compulsory: true, value: Uint8Array.from([0xaa, 0xbb]) },
          { type: 0x2001, compulsory: false, value: new Uint8Array() },
        ],
      },
    ),
  };
}
