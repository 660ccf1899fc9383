import { type Address, addressValue, formatAddress, networkOf, type Prefix } from './address.ts';
import { type Brand, fail, ok, type Result } from './result.ts';

/** A WireGuard public key: 32 bytes as 44 characters of canonical base64. */
export type PublicKey = Brand<string, 'PublicKey'>;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function parsePublicKey(text: string): Result<PublicKey> {
  // 32 bytes are 42 2/3 characters: the last one before "=" carries four bits, so two zero bits.
  if (!/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text)) {
    return fail('bad-key', 'a WireGuard key has 44 characters of base64');
  }
  if (text === `${'A'.repeat(43)}=`) return fail('bad-key', 'a WireGuard key of zeros is none');
  return ok(text as PublicKey);
}

/**
 * The link address of an interface: the overlay's link prefix (a /64) and the first 64 bits of its public key. Those are
 * uniformly random, so two keys meet by accident once in 2^32 interfaces squared, and the registry refuses the second.
 */
export function linkAddress(linkPrefix: Prefix, key: PublicKey): Address {
  let bits = 0n;
  for (const character of key.slice(0, 11)) bits = (bits << 6n) | BigInt(alphabet.indexOf(character));
  return formatAddress(6, addressValue(networkOf(linkPrefix)) | (bits >> 2n));
}
