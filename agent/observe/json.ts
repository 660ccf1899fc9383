// What programs print with -j, read with suspicion: anything that is not as expected is left out.
export type JsonObject = Readonly<Record<string, unknown>>;

/** The objects of a JSON list; empty for empty output, which `ip -j` prints for "nothing". Throws on broken JSON. */
export function parseObjects(text: string): JsonObject[] {
  return text.trim() === '' ? [] : objects(JSON.parse(text));
}

export function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function count(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
