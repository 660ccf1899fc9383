import assert from 'node:assert/strict';
import test from 'node:test';
import { Secret } from '#proto/kit/secret.ts';
import { must } from '#proto/model/result.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { type Backup, formatBackup, parseBackup } from '#registry/store/backup-file.ts';
import { type Found, missingRecords } from '#registry/store/copy.ts';

const whole: Backup = {
  overlay: 'lab',
  takenAt: 1_700_000_000_000 as Timestamp,
  revision: '42',
  madeBy: '0.1.0',
  files: [{ name: 'ca.key', content: new Secret('-----BEGIN\nä\n') }],
  records: [
    { key: 'overlay', value: '{"v":1}' },
    { key: 'nodes/1', value: 'one\nline' },
  ],
  told: [{ key: '1/2', value: '{}' }],
};
const text = formatBackup(whole).reveal();

function faultOf(content: Buffer | string): string | undefined {
  const parsed = parseBackup(Buffer.from(content));
  return parsed.ok ? undefined : parsed.fault.code;
}

test('a backup is read as it was written', () => {
  const read = must(parseBackup(text));
  assert.deepEqual(
    { ...read, files: read.files.map(({ name, content }) => [name, content.reveal()]) },
    { ...whole, files: [['ca.key', '-----BEGIN\nä\n']] },
  );
});

test('what is not whole, or not ours, is refused', () => {
  assert.equal(faultOf(''), 'not-a-backup');
  assert.equal(faultOf('{"format":"other","version":1}\n'), 'not-a-backup');
  assert.equal(faultOf(text.toString().replace('"version":1', '"version":2')), 'unknown-version');
  for (let length = 120; length < text.length; length += 7) {
    assert.equal(faultOf(text.subarray(0, length)), 'damaged', String(length));
  }
  assert.equal(faultOf(text.toString().replace('one', 'two')), 'damaged');
});

test('a file leads out of the state dir only over our checksum: never', () => {
  const bad = formatBackup({ ...whole, files: [{ name: '../../etc/passwd', content: new Secret('') }] }).reveal();
  assert.equal(faultOf(bad), 'damaged');
});

test('only what is missing is written, and only where nothing else is', () => {
  const at = (key: string, value: string): Found => ({ key, value, revision: 7n });
  const missing = (...found: Found[]): string => {
    const result = missingRecords(found, whole.records);
    return result.ok ? result.value.map(({ key }) => key).join() : result.fault.code;
  };
  assert.equal(missing(), 'overlay,nodes/1');
  assert.equal(missing(at('nodes/1', 'one\nline')), 'overlay', 'an earlier attempt');
  assert.equal(missing(at('overlay', '{"v":1}'), at('nodes/1', 'one\nline')), '', 'it is there already');
  assert.equal(missing(at('overlay', 'seeded')), 'overlay,nodes/1', 'a registry started on nothing');
  assert.equal(missing(at('nodes/1', 'changed')), 'live');
  assert.equal(missing(at('nodes/2', 'another')), 'live');
  assert.equal(missing(at('overlay', 'seeded'), at('tokens/1', 'a token')), 'live');
  assert.equal(missing(at('replicas/1', 'running')), 'running');
  assert.equal(missing(at('sessions/1', 'running')), 'running');
});
