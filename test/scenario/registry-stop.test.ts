// A registry that stops while its store does not answer.
import assert from 'node:assert/strict';
import test from 'node:test';
import { pause } from '#proto/kit/clock.ts';
import { fail } from '#proto/model/result.ts';
import type { Store } from '#registry/store/port.ts';
import { createMemoryStore } from '#test/support/memory-store.ts';
import { until } from '#test/support/poll.ts';
import { overlayRecord } from '#test/support/registry-fixtures.ts';
import { registryFor, within } from '#test/support/registry-host.ts';

test('nodes are told at once, and the registry stops, while a commit hangs', async (t) => {
  const memory = createMemoryStore();
  memory.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  let frozen = false;
  let hanging = 0;
  const thaw = new AbortController();
  t.after(() => {
    thaw.abort();
  });
  const store: Store = {
    ...memory,
    commit: async (transaction) => {
      if (!frozen) return memory.commit(transaction);
      hanging++;
      await pause(60_000, thaw.signal);
      return fail('unavailable', 'etcd did not answer in time');
    },
  };
  const registry = await registryFor(t, { store: () => store });
  const node = await registry.enrol(await registry.token(), { name: 'a' });
  frozen = true;
  const session = registry.connect(node.identity);
  session.send({ type: 'hello', agentVersion: 'test' });
  await session.take('welcome');
  await until('the record of the session is being written', () => hanging > 0, { within });

  const begun = performance.now();
  const stopped = registry.serving.stop();
  assert.equal((await session.take('goodbye')).reason, 'draining');
  await stopped;
  assert.ok(performance.now() - begun < 2500);
});
