// What an earlier version stored is read by this one, and what a later minor version will store is read as far as it is known: the
// golden files are what programs of that version wrote.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { savedStateFormat } from '#agent/saved-state.ts';
import { must } from '#proto/model/result.ts';
import { keyOf, keyText, overlayRoot, parseKeyText } from '#registry/store/keys.ts';
import type { Put } from '#registry/store/port.ts';
import { decodeRecord, encodeRecord } from '#registry/store/record-codec.ts';

const golden = join(import.meta.dirname, 'golden');

async function goldenFiles(prefix: string): Promise<readonly { readonly name: string; readonly content: unknown }[]> {
  const names = (await readdir(golden)).filter((name) => name.startsWith(prefix) && name.endsWith('.json')).sort();
  assert.ok(names.length > 0);
  return Promise.all(
    names.map(async (name) => ({ name, content: JSON.parse(await readFile(join(golden, name), 'utf8')) as unknown })),
  );
}

/** Every object of a JSON value gets a field that nobody knows. */
function grown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(grown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries([...Object.entries(value).map(([key, item]) => [key, grown(item)]), ['later', [1]]]);
}

for (const { name, content } of await goldenFiles('records-')) {
  test(`${name}: every record is read, also with fields of a later version, which stay in it`, () => {
    const kinds = new Set<string>();
    for (const [path, value] of Object.entries(content as Record<string, string>)) {
      const key = must(parseKeyText(path.slice(overlayRoot('blue').length)));
      kinds.add(key.kind);
      const record = must(decodeRecord(key, value));
      assert.equal(keyText(keyOf(record)), keyText(key));
      const stored = JSON.parse(value) as { readonly record: unknown };
      const later = must(decodeRecord(key, JSON.stringify({ ...stored, record: grown(stored.record) })));
      assert.equal(keyText(keyOf(later)), keyText(key));
      if (!('record' in later)) continue;
      const changed: Put = { ...later, record: { ...later.record } } as Put;
      const written = JSON.parse(encodeRecord(changed, 'r')) as { readonly record: { readonly later: unknown } };
      assert.deepEqual(written.record.later, [1], path);
    }
    for (const kind of ['overlay', 'node', 'binding', 'token', 'revocation', 'claim-address'])
      assert.ok(kinds.has(kind), kind);
  });
}

for (const { name, content } of await goldenFiles('state-')) {
  test(`${name}: is read, also with fields of a later version`, () => {
    const { version, state } = content as { readonly version: number; readonly state: object };
    assert.equal(version, savedStateFormat.version);
    const saved = must(savedStateFormat.parse(state));
    assert.ok(saved.config && saved.interfaces.length > 0);
    assert.deepEqual(must(savedStateFormat.parse(grown(state))), saved);
  });
}
