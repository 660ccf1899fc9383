/**
 * The Internet checksum (RFC 1071) of RFC 2332 5.1: an odd octet at the end counts as if a zero followed. Over a packet with
 * its checksum in place it is 0.
 */
export function internetChecksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const even = bytes.length & ~1;
  let sum = 0;
  for (let at = 0; at < even; at += 2) sum += view.getUint16(at);
  if (even < bytes.length) sum += view.getUint8(even) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}
