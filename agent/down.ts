// `dmwg-agent down`: the running agent takes its things away itself; otherwise they are found by their marks in the kernel.
import { join } from 'node:path';
import { pause } from '#proto/kit/clock.ts';
import { ProgramError } from '#proto/kit/errors.ts';
import type { AgentOptions } from './run.ts';
import { createHost, removeAll } from './host.ts';
import { readState } from './io/state-file.ts';
import { ask } from './io/status-server.ts';
import { savedStateFormat } from './saved-state.ts';
import { writtenSocketPath } from './self.ts';

const stopDeadlineMs = 10_000;

export async function takeDown(options: AgentOptions): Promise<void> {
  const socket =
    options.runDir === undefined ? await writtenSocketPath(options.stateDir) : join(options.runDir, 'agent.sock');
  if (socket !== undefined && (await ask(socket, 'POST', '/down')) !== undefined) await gone(socket);
  const saved = await readState(join(options.stateDir, 'state.json'), savedStateFormat);
  const prefix = options.interfacePrefix ?? (saved.ok ? saved.value?.interfacePrefix : undefined) ?? 'dmwg';
  await removeAll(createHost(options.stateDir, prefix));
}

async function gone(socket: string): Promise<void> {
  const deadline = performance.now() + stopDeadlineMs;
  while (performance.now() < deadline) {
    if ((await ask(socket, 'GET', '/status')) === undefined) return;
    await pause(50, AbortSignal.timeout(stopDeadlineMs));
  }
  throw new ProgramError('the agent did not stop within 10 s');
}
