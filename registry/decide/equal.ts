/** Whether two plain values (records, arrays, Maps, Sets, primitives) are the same in content. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameValue(item, b[index]));
  }
  if (a instanceof Map || a instanceof Set) {
    return (b instanceof Map || b instanceof Set) && sameValue([...a], [...b]);
  }
  const left = defined(a);
  const right = new Map(defined(b));
  return left.length === right.size && left.every(([key, value]) => right.has(key) && sameValue(value, right.get(key)));
}

/** A field that is undefined is a field that is absent. */
function defined(value: object): [string, unknown][] {
  return Object.entries(value).filter(([, item]) => item !== undefined);
}
