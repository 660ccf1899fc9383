// NHRP messages (RFC 2332 5.2) between gRPC and the model.
import type * as wire from '#proto/gen/dmwg/v1/nhrp.ts';
import { type Address, familyOf } from '#proto/model/address.ts';
import { type Endpoint, endpointFamily, parseEndpoint } from '#proto/model/endpoint.ts';
import type { NhrpBody, NhrpHeader, NhrpMessage } from '#proto/model/nhrp.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import * as f from './fields.ts';
import {
  decodeCies,
  decodeExtension,
  decodeInterface,
  decodeTarget,
  encodeCie,
  encodeExtension,
  encodeInterface,
  encodeTarget,
  limits,
} from './nhrp-parts.ts';

type WireBody = NonNullable<wire.NhrpMessage['body']>;

/** EtherTypes of the protocol addresses. */
const protocolTypes = { 4: 0x0800, 6: 0x86dd } as const;
/** IANA address family numbers of the NBMA addresses. */
const addressFamilies = { 4: 1, 6: 2 } as const;

export function decodeNhrp(message: wire.NhrpMessage): Result<NhrpMessage> {
  const decoded = f.fields({
    hopCount: f.u8(message.hopCount),
    requestId: f.u32(message.requestId),
    sourceNbma: f.optionalAtom(message.sourceNbma, parseEndpoint),
    source: f.address(message.sourceProtocolAddress),
    destination: f.address(message.destinationProtocolAddress),
    extensions: f.list(message.extensions, limits.extensions, decodeExtension),
    body: f.required(message.body, decodeBody),
  });
  if (!decoded.ok) return decoded;
  const families = checkFamilies(message, decoded.value);
  return families.ok ? decoded : families;
}

/** The families are redundant here, as the text of an address shows its own; the packet form needs them. */
function checkFamilies(message: wire.NhrpMessage, header: NhrpHeader): Result<void> {
  if (message.protocolType !== protocolTypes[familyOf(header.destination)]) {
    return fail('bad-family', `protocolType: ${String(message.protocolType)} is not that of ${header.destination}`);
  }
  const family = message.addressFamily;
  if (header.sourceNbma ? family !== addressFamilyOf(header.sourceNbma) : family !== 1 && family !== 2) {
    return fail('bad-family', `addressFamily: ${String(family)} is not that of the source's NBMA address`);
  }
  return ok(undefined);
}

export function encodeNhrp(message: NhrpMessage): wire.NhrpMessage {
  return {
    addressFamily: addressFamilyOf(message.sourceNbma),
    protocolType: protocolTypeOf(message.destination),
    hopCount: message.hopCount,
    requestId: message.requestId,
    sourceNbma: message.sourceNbma ?? '',
    sourceProtocolAddress: message.source,
    destinationProtocolAddress: message.destination,
    body: encodeBody(message.body),
    extensions: message.extensions.map(encodeExtension),
  };
}

function protocolTypeOf(destination: Address): number {
  return protocolTypes[familyOf(destination)];
}

function addressFamilyOf(endpoint: Endpoint | undefined): number {
  return addressFamilies[endpoint ? endpointFamily(endpoint) : 4];
}

function decodeBody(body: WireBody): Result<NhrpBody> {
  switch (body.$case) {
    case 'resolutionRequest':
      return f.fields({
        type: ok('resolution-request' as const),
        router: ok(body.value.router),
        authoritativeOnly: ok(body.value.authoritativeOnly),
        unique: ok(body.value.unique),
        sourceStable: ok(body.value.sourceStable),
        cies: decodeCies(body.value.cies),
        target: f.optional(body.value.target, decodeTarget),
      });
    case 'resolutionReply':
      return f.fields({
        type: ok('resolution-reply' as const),
        router: ok(body.value.router),
        authoritative: ok(body.value.authoritative),
        destinationStable: ok(body.value.destinationStable),
        unique: ok(body.value.unique),
        sourceStable: ok(body.value.sourceStable),
        cies: decodeCies(body.value.cies),
        target: f.optional(body.value.target, decodeTarget),
      });
    case 'registrationRequest':
      return f.fields({
        type: ok('registration-request' as const),
        unique: ok(body.value.unique),
        additive: ok(body.value.additive),
        cies: decodeCies(body.value.cies),
        interfaces: f.list(body.value.interfaces, limits.interfaces, decodeInterface),
      });
    case 'registrationReply':
      return f.fields({
        type: ok('registration-reply' as const),
        unique: ok(body.value.unique),
        cies: decodeCies(body.value.cies),
        observedEndpoint: f.optionalAtom(body.value.observedEndpoint, parseEndpoint),
      });
    case 'purgeRequest':
      return f.fields({
        type: ok('purge-request' as const),
        noReply: ok(body.value.noReply),
        cies: decodeCies(body.value.cies),
      });
    case 'purgeReply':
      return f.fields({
        type: ok('purge-reply' as const),
        noReply: ok(body.value.noReply),
        cies: decodeCies(body.value.cies),
      });
    case 'errorIndication':
      return f.fields({
        type: ok('error-indication' as const),
        code: f.u16(body.value.code),
        offset: f.u16(body.value.offset),
        contents: f.octets(body.value.contents, limits.contentsOctets),
      });
    case 'trafficIndication':
      return f.fields({
        type: ok('traffic-indication' as const),
        contents: f.octets(body.value.contents, limits.contentsOctets),
      });
  }
}

function encodeBody(body: NhrpBody): WireBody {
  switch (body.type) {
    case 'resolution-request': {
      const { type: _, cies, target, ...flags } = body;
      const value = { ...flags, cies: cies.map(encodeCie), target: target && encodeTarget(target) };
      return { $case: 'resolutionRequest', value };
    }
    case 'resolution-reply': {
      const { type: _, cies, target, ...flags } = body;
      const value = { ...flags, cies: cies.map(encodeCie), target: target && encodeTarget(target) };
      return { $case: 'resolutionReply', value };
    }
    case 'registration-request': {
      const interfaces = body.interfaces.map(encodeInterface);
      const { unique, additive } = body;
      const value = { unique, cies: body.cies.map(encodeCie), interfaces, additive };
      return { $case: 'registrationRequest', value };
    }
    case 'registration-reply': {
      const observedEndpoint = body.observedEndpoint ?? '';
      const value = { unique: body.unique, cies: body.cies.map(encodeCie), observedEndpoint };
      return { $case: 'registrationReply', value };
    }
    case 'purge-request':
      return { $case: 'purgeRequest', value: { noReply: body.noReply, cies: body.cies.map(encodeCie) } };
    case 'purge-reply':
      return { $case: 'purgeReply', value: { noReply: body.noReply, cies: body.cies.map(encodeCie) } };
    case 'error-indication': {
      const contents = Buffer.from(body.contents);
      return { $case: 'errorIndication', value: { code: body.code, offset: body.offset, contents } };
    }
    case 'traffic-indication':
      return { $case: 'trafficIndication', value: { contents: Buffer.from(body.contents) } };
  }
}
