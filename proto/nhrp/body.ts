// The bodies of the model from and to flags (RFC 2332 5.2.1 to 5.2.6), CIEs and contents.
import type { Cie, NhrpBody } from '#proto/model/nhrp.ts';
import type { NhrpType } from './header.ts';
import type { VendorData } from './vendor.ts';

/** Of resolutions; a registration's U and a purge's N are the first bit. */
const flag = { router: 0x8000, authoritative: 0x4000, destinationStable: 0x2000, unique: 0x1000, sourceStable: 0x0800 };
const registrationUnique = 0x8000;
/** Ours: RFC 2332 5.2.3 leaves all but U unused. */
const registrationAdditive = 0x0001;
const purgeNoReply = 0x8000;

export function flagsOf(body: NhrpBody): number {
  switch (body.type) {
    case 'resolution-request':
      return (
        bit(flag.router, body.router) |
        bit(flag.authoritative, body.authoritativeOnly) |
        bit(flag.unique, body.unique) |
        bit(flag.sourceStable, body.sourceStable)
      );
    case 'resolution-reply':
      return (
        bit(flag.router, body.router) |
        bit(flag.authoritative, body.authoritative) |
        bit(flag.destinationStable, body.destinationStable) |
        bit(flag.unique, body.unique) |
        bit(flag.sourceStable, body.sourceStable)
      );
    case 'registration-request':
      return bit(registrationUnique, body.unique) | bit(registrationAdditive, body.additive);
    case 'registration-reply':
      return bit(registrationUnique, body.unique);
    case 'purge-request':
    case 'purge-reply':
      return bit(purgeNoReply, body.noReply);
    case 'error-indication':
    case 'traffic-indication':
      return 0;
  }
}

function bit(mask: number, set: boolean): number {
  return set ? mask : 0;
}

export function ciesOf(body: NhrpBody): readonly Cie[] {
  return 'cies' in body ? body.cies : [];
}

/** What a packet says of its body. */
export interface BodyParts {
  readonly flags: number;
  readonly cies: readonly Cie[];
  readonly code: number;
  readonly errorOffset: number;
  readonly contents: Uint8Array;
  readonly vendor: VendorData;
}

/** Flags that no section names, such as Cisco's for NAT (0x0002), are ignored. */
export function bodyOf(type: NhrpType, parts: BodyParts): NhrpBody {
  const { flags, cies, contents, vendor } = parts;
  const has = (mask: number) => (flags & mask) !== 0;
  switch (type) {
    case 'resolution-request':
      return {
        type,
        router: has(flag.router),
        authoritativeOnly: has(flag.authoritative),
        unique: has(flag.unique),
        sourceStable: has(flag.sourceStable),
        cies,
        target: vendor.target,
      };
    case 'resolution-reply':
      return {
        type,
        router: has(flag.router),
        authoritative: has(flag.authoritative),
        destinationStable: has(flag.destinationStable),
        unique: has(flag.unique),
        sourceStable: has(flag.sourceStable),
        cies,
        target: vendor.target,
      };
    case 'registration-request':
      return {
        type,
        unique: has(registrationUnique),
        cies,
        interfaces: vendor.interfaces,
        additive: has(registrationAdditive),
      };
    case 'registration-reply':
      return { type, unique: has(registrationUnique), cies, observedEndpoint: vendor.observedEndpoint };
    case 'purge-request':
    case 'purge-reply':
      return { type, noReply: has(purgeNoReply), cies };
    case 'error-indication':
      return { type, code: parts.code, offset: parts.errorOffset, contents };
    case 'traffic-indication':
      return { type, contents };
  }
}
