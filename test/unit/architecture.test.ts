// What the linters do not say about the shape of the source. Each rule is a function that is also given a bad example.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'node:test';

interface Source {
  readonly path: string;
  readonly text: string;
}

type Rule = (source: Source) => readonly string[];

const root = resolve(import.meta.dirname, '../..');
const longest = 250;
const pureFolders = ['proto/model/', 'proto/nhrp/', 'agent/decide/', 'registry/decide/'];

function isPure(source: Source): boolean {
  return pureFolders.some((folder) => source.path.startsWith(folder));
}

/** Without comments; strings stay, as imports are made of them. Good enough for text formatted by Biome. */
function code(source: Source): string {
  return source.text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}

const shortFiles: Rule = (source) => {
  const lines = source.text.split('\n').length - 1;
  return lines > longest ? [`${source.path} has ${String(lines)} lines; at most ${String(longest)}`] : [];
};

/** Imports of a decider and of the packet codec: its own folder and the shared model; of the model: itself and the address parser. */
const pureImports: Rule = (source) => {
  if (!isPure(source)) return [];
  const own = source.path.startsWith('proto/model/') ? /^(\.\/|ipaddr\.js$)/ : /^(\.\/|#proto\/model\/)/;
  return [...code(source).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)]
    .map(([, name = '']) => name)
    .filter((name) => !own.test(name))
    .map((name) => `${source.path} imports ${name}`);
};

/** Time, randomness and identity are arguments of a decider, and it never waits. */
const pureCode: Rule = (source) => {
  if (!isPure(source)) return [];
  const impure =
    /\basync\b|\bawait\b|\bPromise\b|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.|\bprocess\.|\bsetTimeout\b/g;
  return [...code(source).matchAll(impure)].map(([word]) => `${source.path} uses ${word}`);
};

/** Code is bundled to CommonJS: neither import.meta nor await at the top of a module exists there. */
const bundleable: Rule = (source) =>
  [...code(source).matchAll(/\bimport\.meta\b|^await\b|^(?:const|let) .*= await\b/gm)].map(
    ([word]) => `${source.path} uses ${word}`,
  );

/** A file that only hands on what others define hides where things are. */
const noBarrels: Rule = (source) => {
  const handsOn = /^export (?:type )?(?:\*|\{[^}]*\}) from /m.test(code(source));
  const defines = /^export (?:default|const|async|function|class|abstract|interface|type \w)/m.test(code(source));
  return handsOn && !defines ? [`${source.path} only re-exports`] : [];
};

const noSuppressions: Rule = (source) =>
  [...source.text.matchAll(/eslint-disable|@ts-(?:ignore|expect-error|nocheck)|biome-ignore|\bTODO\b|\bFIXME\b/g)].map(
    ([word]) => `${source.path} contains ${word}`,
  );

const vagueNames: Rule = (source) =>
  /(^|\/)(utils?|helpers?|managers?|common|misc)(\/|\.ts$)/.test(source.path) ? [`${source.path} is a vague name`] : [];

const rules: readonly { readonly what: string; readonly rule: Rule; readonly bad: Source }[] = [
  { what: 'files are short', rule: shortFiles, bad: { path: 'agent/a.ts', text: 'x;\n'.repeat(longest + 1) } },
  {
    what: 'deciders import the model only',
    rule: pureImports,
    bad: { path: 'agent/decide/a.ts', text: "import { readFileSync } from 'node:fs';\n" },
  },
  {
    what: 'packets import the model only',
    rule: pureImports,
    bad: { path: 'proto/nhrp/a.ts', text: "import { encodeNhrp } from '#proto/codec/nhrp.ts';\n" },
  },
  {
    what: 'the model imports itself only',
    rule: pureImports,
    bad: { path: 'proto/model/a.ts', text: "import { z } from 'zod';\n" },
  },
  {
    what: 'deciders neither wait nor look at clocks',
    rule: pureCode,
    bad: { path: 'registry/decide/a.ts', text: 'export const late = (): boolean => Date.now() > 0;\n' },
  },
  {
    what: 'modules can be bundled',
    rule: bundleable,
    bad: { path: 'agent/io/a.ts', text: "const text = await read('file');\n" },
  },
  { what: 'no barrel files', rule: noBarrels, bad: { path: 'agent/io/a.ts', text: "export * from './b.ts';\n" } },
  {
    what: 'nothing is suppressed or left to do',
    rule: noSuppressions,
    bad: { path: 'agent/io/a.ts', text: '// @ts-ignore\n' },
  },
  { what: 'names say something', rule: vagueNames, bad: { path: 'agent/io/utils.ts', text: '' } },
];

function productionSources(): readonly Source[] {
  return ['proto', 'agent', 'registry'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((path) => path.endsWith('.ts') && !path.startsWith('proto/gen/'))
      .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })),
  );
}

for (const { what, rule, bad } of rules) {
  test(`architecture: ${what}`, () => {
    assert.equal(rule(bad).length > 0, true, 'the rule does not see the bad example');
    assert.deepEqual(productionSources().flatMap(rule), []);
  });
}

test('architecture: comments are not code', () => {
  const text = '// Date.now() is an argument here\n/* await */ export const a = 1;\n';
  assert.deepEqual(pureCode({ path: 'agent/decide/a.ts', text }), []);
});
