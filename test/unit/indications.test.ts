import assert from 'node:assert/strict';
import test from 'node:test';
import { type Capture, type CaptureSinks, runIndications } from '#agent/observe/indications.ts';
import { createLogger } from '#proto/kit/log.ts';
import { until } from '#test/support/poll.ts';

const fileHeader = Uint8Array.from(Buffer.from('d4c3b2a1020004000000000000000000' + '00010000' + 'ef000000', 'hex'));

interface Run {
  readonly sinks: CaptureSinks;
  readonly signal: AbortSignal;
  readonly args: readonly string[];
  end(): void;
}

/** Captures that end when the test says so, or when they are aborted. */
function fake(): { readonly capture: Capture; readonly runs: Run[] } {
  const runs: Run[] = [];
  const capture: Capture = async (_program, args, sinks, signal) => {
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        resolve();
      });
      runs.push({ sinks, signal, args, end: resolve });
    });
  };
  return { capture, runs };
}

async function runNumber(runs: readonly Run[], index: number): Promise<Run> {
  return await until(`capture ${String(index)} runs`, () => runs[index], { within: 3000, every: 2 });
}

test('a corrupt stream and an end are each followed by a new capture, and abort ends all', async () => {
  const { capture, runs } = fake();
  const stop = new AbortController();
  const warnings: string[] = [];
  const logger = createLogger('test', 'silent');
  logger.warn = (fields: unknown) => {
    warnings.push(JSON.stringify(fields));
  };
  let ready = 0;
  const done = runIndications(
    {
      group: 9,
      logger,
      capture,
      random: () => 0,
      onIndication: () => undefined,
      onReady: () => {
        ready += 1;
      },
    },
    stop.signal,
  );

  const first = await runNumber(runs, 0);
  assert.ok(first.args.includes('nflog:9'));
  first.sinks.onLine('tcpdump: listening on nflog:9, link-type NFLOG (Linux netfilter log messages)');
  assert.equal(ready, 1);
  first.sinks.onData(fileHeader);
  first.sinks.onData(new Uint8Array(16).fill(0xff));
  assert.ok(first.signal.aborted, 'the corrupt capture is ended');

  const second = await runNumber(runs, 1);
  second.sinks.onLine("tcpdump: Can't listen on group index: Operation not permitted");
  second.end();
  const third = await runNumber(runs, 2);
  third.sinks.onLine("tcpdump: Can't listen on group index: Operation not permitted");
  third.end();

  const fourth = await runNumber(runs, 3);
  stop.abort();
  await done;
  assert.ok(fourth.signal.aborted);
  assert.deepEqual(warnings, [
    '{"group":9,"reason":"a record of 4294967295 bytes is too large"}',
    `{"group":9,"reason":"tcpdump: Can't listen on group index: Operation not permitted"}`,
  ]);
});

test('a program that cannot be started is named once', async () => {
  const stop = new AbortController();
  const warnings: unknown[] = [];
  const logger = createLogger('test', 'silent');
  logger.warn = (fields: unknown) => {
    warnings.push(fields);
  };
  let tries = 0;
  const done = runIndications(
    {
      group: 9,
      logger,
      capture: () => {
        tries++;
        return Promise.reject(new Error('setpriv is not installed'));
      },
      random: () => 0,
      onIndication: () => undefined,
    },
    stop.signal,
  );
  await until('a second try', () => tries >= 2, { within: 3000, every: 2 });
  stop.abort();
  await done;
  assert.deepEqual(warnings, [{ group: 9, reason: 'setpriv is not installed' }]);
});
