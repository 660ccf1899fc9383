/** Of one or more interfaces, as nft takes them. */
export function names(interfaces: readonly string[]): string {
  const quoted = [...interfaces].sort().map((name) => `"${name}"`);
  return quoted.length === 1 ? quoted.join('') : `{ ${quoted.join(', ')} }`;
}
