import assert from 'node:assert/strict';
import test from 'node:test';
import { createBfd } from '#agent/io/bfd.ts';
import type { BfdSessionConfig } from '#agent/io/bfd-port.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';
import { type Address, parseAddress } from '#proto/model/address.ts';
import { must } from '#proto/model/result.ts';
import { milliseconds } from '#proto/model/time.ts';

const local = must(parseAddress('fd00:109::a'));

test('whoever is woken for one session sends for those whose packets may leave, a few at a time', async (t) => {
  const sent: Address[] = [];
  let second: (() => void) | undefined;
  const bfd = createBfd({
    logger: createLogger('test', 'silent'),
    clock: systemClock,
    // The intervals end one after the other, over an eighth of a second, and none before the others' packets may leave.
    random: () => 0.5 + (sent.length % 40) / 80,
    openLink: () => ({
      send: (_bytes, remote) => {
        sent.push(remote);
        if (sent.length === 41) second?.();
      },
      retry: () => undefined,
      close: () => undefined,
    }),
  });
  t.after(() => {
    bfd.close();
  });
  const again = new Promise<void>((resolve) => {
    second = resolve;
  });
  bfd.setSessions(
    new Map(
      Array.from({ length: 40 }, (_, index): [string, BfdSessionConfig] => {
        const remote = must(parseAddress(`fd00:109::b:${String(index)}`));
        return [remote, { local, remote, interval: milliseconds(300), multiplier: 3, role: 'active' }];
      }),
    ),
  );
  assert.equal(new Set(sent).size, 40, 'a first packet each');
  await again;
  // This turn of the loop is still that of the first wake-up. How many may leave already is a matter of when that was.
  assert.ok(sent.length >= 40 + 2, `${String(sent.length - 40)} packets at the second wake-up`);
});
