// A message in two: what RFC 2332 has fields for, and what it has not. And together again.
import { familyOf } from '#proto/model/address.ts';
import { type Endpoint, endpointAddress, endpointFamily, endpointOf, endpointPort } from '#proto/model/endpoint.ts';
import { type Cie, errorCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import { ok, type Result } from '#proto/model/result.ts';
import { bodyOf, ciesOf, flagsOf } from './body.ts';
import { isPrefixLength, type PlainCie } from './cie.ts';
import { readExtension } from './extensions.ts';
import { failAt, type PacketFault } from './fault.ts';
import type { Families, FixedHeader } from './header.ts';
import { isIndication, type MandatoryPart } from './mandatory.ts';
import type { VendorData } from './vendor.ts';

/** The port of an NBMA address of which nothing else is said: WireGuard's customary one. */
export const customaryPort = 51820;

/** The protocol is the destination's. The first NBMA address of the message decides which ones the packet's fields can hold. */
export function familiesOf(message: NhrpMessage): Families {
  const protocol = familyOf(message.destination);
  const first = message.sourceNbma ?? ciesOf(message.body).flatMap(({ nbma }) => nbma)[0];
  if (first !== undefined) return { nbma: endpointFamily(first), protocol };
  // None of the message's own: then its extensions', if they can be read with IPv6 and not with IPv4.
  const readable = (families: Families) => message.extensions.every((one) => readExtension(one, families).ok);
  const [four, six] = [{ nbma: 4, protocol } as const, { nbma: 6, protocol } as const];
  return !readable(four) && readable(six) ? six : four;
}

/** What of the message goes into the mandatory part, and what into the vendor-private extension. */
export function split(
  message: NhrpMessage,
  families: Families,
): { readonly part: MandatoryPart; readonly vendor: VendorData } {
  const { sourceNbma, source, body, requestId } = message;
  const cies = ciesOf(body).map((cie) => plainCie(cie, families));
  const indication = isIndication(body.type);
  const ownFamily = familyOf(source) === families.protocol;
  const part: MandatoryPart = {
    sourceNbma: sourceNbma && endpointAddress(sourceNbma),
    source: ownFamily ? source : undefined,
    destination: message.destination,
    flags: flagsOf(body),
    requestId: indication ? 0 : requestId,
    code: body.type === 'error-indication' ? body.code : 0,
    errorOffset: body.type === 'error-indication' ? body.offset : 0,
    cies,
    contents: 'contents' in body ? body.contents : new Uint8Array(),
  };
  const vendor: VendorData = {
    requestId: indication && requestId !== 0 ? requestId : undefined,
    sourcePort: sourceNbma && unusual(endpointPort(sourceNbma)),
    source: ownFamily ? undefined : source,
    ...ciesBeside(ciesOf(body), cies),
    target: 'target' in body ? body.target : undefined,
    interfaces: body.type === 'registration-request' ? body.interfaces : [],
    observedEndpoint: body.type === 'registration-reply' ? body.observedEndpoint : undefined,
  };
  return { part, vendor };
}

function unusual(port: number): number | undefined {
  return port === customaryPort ? undefined : port;
}

function plainCie({ nbma, protocolAddress, ...rest }: Cie, families: Families): PlainCie {
  const ownFamily = protocolAddress !== undefined && familyOf(protocolAddress) === families.protocol;
  return {
    ...rest,
    nbma: firstOf(nbma, families),
    protocolAddress: ownFamily ? protocolAddress : undefined,
  };
}

/** The most preferred one that the field can hold. */
function firstOf(nbma: readonly Endpoint[], families: Families): PlainCie['nbma'] {
  const first = nbma.find((endpoint) => endpointFamily(endpoint) === families.nbma);
  return first && endpointAddress(first);
}

/** What the plain CIEs leave out. */
function ciesBeside(cies: readonly Cie[], plain: readonly PlainCie[]): Pick<VendorData, 'nbma' | 'protocolAddresses'> {
  const all = [...cies.entries()];
  return {
    nbma: new Map(
      all.flatMap(([index, { nbma }]) => {
        const said = portless(plain[index]);
        return said.join() === nbma.join() ? [] : [[index, nbma] as const];
      }),
    ),
    protocolAddresses: new Map(
      all.flatMap(([index, { protocolAddress }]) =>
        protocolAddress === plain[index]?.protocolAddress || !protocolAddress
          ? []
          : [[index, protocolAddress] as const],
      ),
    ),
  };
}

/** What a plain CIE says of its endpoints. */
function portless(cie: PlainCie | undefined): readonly Endpoint[] {
  return cie?.nbma === undefined ? [] : [endpointOf(cie.nbma, customaryPort)];
}

/** A packet's two parts; `offset` is where a fault in the second is. */
export interface Parts {
  readonly header: FixedHeader;
  readonly part: MandatoryPart;
  readonly vendor: VendorData;
  readonly extensions: NhrpMessage['extensions'];
  readonly offset: number;
}

/** The two must agree: each field is said once, or twice the same. */
export function join({ header, part, vendor, extensions, offset }: Parts): Result<NhrpMessage, PacketFault> {
  const bad = (message: string) => failAt(errorCode.invalidExtension, offset, message);
  const { sourceNbma, cies } = part;
  if (vendor.sourcePort !== undefined && !sourceNbma) return bad('a source port without an address');
  if (part.source && vendor.source) return bad('two source addresses');
  const source = part.source ?? vendor.source;
  if (!source) return failAt(errorCode.protocolError, 20, 'there is no source address');
  if ([...vendor.nbma.keys(), ...vendor.protocolAddresses.keys()].some((index) => index >= cies.length)) {
    return bad('an element is about a CIE that is not there');
  }
  const joined: Cie[] = [];
  for (const [index, cie] of cies.entries()) {
    const nbma = vendor.nbma.get(index) ?? portless(cie);
    const beside = vendor.protocolAddresses.get(index);
    if (firstOf(nbma, header) !== cie.nbma) return bad(`the endpoints of CIE ${String(index)} are not those in it`);
    if (cie.protocolAddress && beside) return bad(`two protocol addresses of CIE ${String(index)}`);
    joined.push({ ...cie, nbma, protocolAddress: cie.protocolAddress ?? beside });
  }
  if (!joined.every(hasPrefixLength))
    return failAt(errorCode.protocolError, 20, 'a prefix length of a CIE is too long');
  return ok({
    hopCount: header.hopCount,
    requestId: vendor.requestId ?? part.requestId,
    sourceNbma: sourceNbma && endpointOf(sourceNbma, vendor.sourcePort ?? customaryPort),
    source,
    destination: part.destination,
    extensions,
    body: bodyOf(header.type, { ...part, cies: joined, vendor }),
  });
}

/** 0, which the model reads as 0xFF, included. */
export function hasPrefixLength({ prefixLength, protocolAddress }: Cie): boolean {
  return prefixLength === 0 || isPrefixLength(prefixLength, protocolAddress);
}
