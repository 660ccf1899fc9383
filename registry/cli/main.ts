import { text } from 'node:stream/consumers';
import type { Io } from './io.ts';
import { runCli } from './program.ts';

const io: Io = {
  out: (line) => {
    process.stdout.write(line);
  },
  err: (line) => {
    process.stderr.write(line);
  },
  readInput: () => text(process.stdin),
  environment: process.env,
  terminal: process.stdout.isTTY,
  interrupted: () => {
    const controller = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        controller.abort();
      });
    }
    return controller.signal;
  },
  program: process.argv[1] ?? '',
};

// `dmwg show nodes | head -1` closes the pipe early: that is no failure.
process.stdout.on('error', () => process.exit(0));

void runCli(process.argv.slice(2), io).then((code) => {
  process.exitCode = code;
});
