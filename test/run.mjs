// node --import tsx test/run.mjs FILE... -- FILE...
// Runs test files with node's test runner, the first ones next to each other and the others one after the other, in the given
// order, as one run: one report, and one summary of all of them at its end. (`node --test` knows no order and one concurrency.)
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import process from 'node:process';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** Milliseconds; the longest is a whole virtual machine. */
const fileTimeout = 2_400_000;
const words = process.argv.slice(2);
const divider = words.includes('--') ? words.indexOf('--') : words.length;
const parts = [
  { files: words.slice(0, divider), concurrency: availableParallelism() },
  { files: words.slice(divider + 1), concurrency: 1 },
].filter((part) => part.files.length > 0);

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

/** "tests 12", as the runner ends with; the sums over all parts, in the order of first appearance. */
const counter = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;
const sums = new Map();

async function* events() {
  for (const { files, concurrency } of parts) {
    const paths = files.map((file) => resolve(file));
    for await (const event of run({ files: paths, concurrency, timeout: fileTimeout, signal: stop.signal })) {
      const [, name, value] =
        (event.type === 'test:diagnostic' && event.data.nesting === 0 && counter.exec(event.data.message)) || [];
      if (name === undefined) yield event;
      else sums.set(name, (sums.get(name) ?? 0) + Number(value));
    }
  }
  for (const [name, sum] of sums) yield { type: 'test:diagnostic', data: { nesting: 0, message: `${name} ${sum}` } };
  if (stop.signal.aborted || !sums.has('fail') || sums.get('fail') + sums.get('cancelled') > 0) process.exitCode = 1;
}

Readable.from(events()).compose(new spec()).pipe(process.stdout);
