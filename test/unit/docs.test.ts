// Configurations in documents are those that the tests run.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'node:test';

const root = resolve(import.meta.dirname, '../..');
const documents = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'].concat(
  readdirSync(join(root, 'docs')).map((name) => join('docs', name)),
);

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** "[deploy/examples/x](../deploy/examples/x):" and a block: the whole file. */
function quotes(text: string): readonly { readonly path: string; readonly quoted: string }[] {
  return [...text.matchAll(/\[(deploy\/examples\/\S+)\]\(\S+\):\n```\n([\s\S]*?)```/g)].map(
    ([, path = '', quoted = '']) => ({ path, quoted }),
  );
}

test('docs: what is quoted of an example is the example', () => {
  const all = documents.flatMap((path) => quotes(read(path)));
  assert.ok(all.length >= 4, 'the examples of routing are quoted');
  for (const { path, quoted } of all) assert.equal(quoted, read(path), path);
});

test('docs: every example is mentioned', () => {
  const text = documents.map(read).join('');
  const examples = readdirSync(join(root, 'deploy/examples'), { recursive: true, encoding: 'utf8' })
    .map((name) => join('deploy/examples', name))
    .filter((path) => /\.(conf|yaml)$/.test(path));
  assert.deepEqual(
    examples.filter((path) => !text.includes(path)),
    [],
  );
});

test('docs: links lead to files', () => {
  for (const path of documents) {
    for (const [, target = ''] of read(path).matchAll(/\]\((?!https?:|#)([^)\s#]+)/g)) {
      assert.ok(existsSync(join(root, path, '..', target)), `${path}: ${target}`);
    }
  }
});
