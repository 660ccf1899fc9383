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

/** The 32 bytes. */
export function publicKeyBytes(key: PublicKey): Uint8Array {
  const bytes = new Uint8Array(32);
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const character of key.slice(0, 43)) {
    bits = ((bits << 6) | alphabet.indexOf(character)) & 0x3fff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[at] = bits >> count;
    at += 1;
  }
  return bytes;
}

/** The inverse of publicKeyBytes. */
export function parsePublicKeyBytes(bytes: Uint8Array): Result<PublicKey> {
  let text = '';
  let bits = 0;
  let count = 0;
  for (const byte of [...bytes, 0]) {
    bits = ((bits << 8) | byte) & 0x3fff;
    count += 8;
    while (count >= 6) {
      count -= 6;
      text += alphabet.charAt((bits >> count) & 0x3f);
    }
  }
  // The zero byte fills the last character; what it says beyond that is cut off.
  return parsePublicKey(`${text.slice(0, Math.ceil((bytes.length * 8) / 6))}=`);
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
