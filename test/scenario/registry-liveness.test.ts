// Sessions outlive a registry that is busy, and end with a node that says nothing any more.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { createMemoryStore } from '#test/support/memory-store.ts';
import type { Identity } from '#test/support/held-session.ts';
import { until } from '#test/support/poll.ts';
import { overlayRecord } from '#test/support/registry-fixtures.ts';
import { registryFor, within } from '#test/support/registry-host.ts';

/** Milliseconds: longer than the silence that ends a session, if it were that of the node. */
const busyFor = 7500;

test('a registry that is busy for seconds loses no session; a node that is silent does', async (t) => {
  const store = createMemoryStore();
  store.force({ put: [{ kind: 'overlay', record: overlayRecord() }] });
  const registry = await registryFor(t, { store: () => store });
  const { identity, response } = await registry.enrol(await registry.token(), { name: 'a' });
  const program = fileURLToPath(new URL('../support/held-session.ts', import.meta.url));
  const agent = fork(program, [], { execArgv: ['--import', 'tsx'] });
  t.after(() => agent.kill('SIGKILL'));
  const said: unknown[] = [];
  agent.on('message', (message) => said.push(message));
  const { ca, certificate, key } = identity;
  agent.send({ endpoint: registry.address, ca, certificate, key: key.reveal() } satisfies Identity);
  await until('the agent is welcome', () => said.length > 0, { within });
  const { open } = registry.serving.sessions;
  const session = open.get(response.nodeId as never);
  assert.ok(session);

  // No turn of the loop meanwhile.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyFor);
  const since = performance.now();
  await until('the registry looked at its sessions', () => performance.now() - since > 1500, { within });
  assert.equal(session.ended, false);
  assert.deepEqual(said, ['welcome'], 'nor did the agent give up');

  // Its kernel goes on, and acknowledges what comes.
  agent.kill('SIGSTOP');
  await until('the session is over', () => open.size === 0, { within });
  assert.equal(session.ended, true);
  agent.kill('SIGKILL');
  await once(agent, 'exit');
});
