// A session against a fake registry, and what was heard of it.
import type { TestContext } from 'node:test';
import { betterThan, choiceAfter } from '#agent/decide/registry-choice.ts';
import { createSession } from '#agent/io/session.ts';
import type { Session, SessionHandlers } from '#agent/io/session-port.ts';
import { systemClock } from '#proto/kit/clock.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import { milliseconds } from '#proto/model/time.ts';
import { type FakeRegistry, type FakeRegistryOptions, startFakeRegistry } from './fake-registry.ts';
import { logLines } from './log-lines.ts';

export interface Running {
  readonly session: Session;
  /** "connected", "disconnected: ...", "message peer-sync", "revoked: ..." */
  readonly events: string[];
  readonly lines: Record<string, unknown>[];
  stop(): Promise<void>;
}

export function startSession(
  t: TestContext,
  registries: readonly string[],
  identity: ClientIdentity,
  fallbackTime = milliseconds(60_000),
): Running {
  const { logger, lines } = logLines();
  const random = (): number => 0.5;
  const choices = registries.map((address, rank) => ({ address, rank }));
  const session = createSession({
    registries: {
      count: () => choices.length,
      after: (address) => choiceAfter(choices, address),
      better: (address) => betterThan(choices, address),
    },
    fallbackTime: () => fallbackTime,
    identity,
    agentVersion: '1.2.3',
    logger,
    clock: systemClock,
    random,
  });
  const events: string[] = [];
  const handlers: SessionHandlers = {
    onConnected: () => events.push('connected'),
    onDisconnected: (reason) => events.push(`disconnected: ${reason}`),
    onMessage: (message) => events.push(`message ${message.type}`),
    onRevoked: (detail) => events.push(`revoked: ${detail}`),
  };
  const controller = new AbortController();
  const running = session.run(controller.signal, handlers);
  const stop = async (): Promise<void> => {
    controller.abort();
    await running;
  };
  t.after(stop);
  return { session, events, lines, stop };
}

export async function registryOf(
  t: TestContext,
  identity: ClientIdentity,
  options?: FakeRegistryOptions,
): Promise<FakeRegistry> {
  const registry = await startFakeRegistry(identity, options);
  t.after(() => {
    registry.stop();
  });
  return registry;
}

/** The one line about trouble. */
export function troubles(running: Running): string[] {
  const found = running.lines.filter((line) => line['msg'] === 'no session with the registry');
  return found.map((line) => String(line['code']));
}
