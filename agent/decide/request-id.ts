/** The ID of the next new request: a counter of 32 bits (RFC 2332 5.2.0.1). */
export function followingId(id: number, by = 1): number {
  return (id + by) % 0x1_0000_0000;
}
