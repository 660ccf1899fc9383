// A node of which only the control plane is there: the agent's own session, and a cache of what it was told.
import { createSession } from '#agent/io/session.ts';
import { choiceAfter, betterThan, registryChoices, type RegistryChoice } from '#agent/decide/registry-choice.ts';
import { systemClock } from '#proto/kit/clock.ts';
import type { Logger } from '#proto/kit/log.ts';
import { type Address, containsAddress } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import type { RegistryEndpoint } from '#proto/model/session.ts';
import { milliseconds } from '#proto/model/time.ts';
import { purgedBy } from '#registry/decide/purge.ts';
import { multipoint, registration, resolution } from './registry-fixtures.ts';
import type { EnrolledNode } from './registry-host.ts';

export interface SessionNode {
  readonly name: string;
  readonly address: string;
  /** host:port of the registry, while there is a session. */
  endpoint(): string | undefined;
  /** A registration with the present key was accepted in this session. */
  registered(): boolean;
  /** Why each of its sessions ended. */
  ends(): readonly string[];
  /** Has another key from now on; `key` stands for it. */
  move(key: string): void;
  key(): string;
  ask(destination: string): void;
  /** The key that it believes this address to have. */
  known(destination: string): string | undefined;
  stop(): Promise<void>;
}

export interface SessionNodeOptions {
  readonly name: string;
  readonly enrolled: EnrolledNode;
  /** Of agent.yaml. */
  readonly registries: readonly string[];
  readonly logger: Logger;
  /** Milliseconds. */
  readonly fallbackTime?: number;
}

export function startSessionNode(options: SessionNodeOptions): SessionNode {
  const { name, enrolled, registries, logger } = options;
  const { address, nodeId } = enrolled.response;
  let learned: readonly RegistryEndpoint[] = [];
  let endpoint: string | undefined;
  let registered = false;
  const ends: string[] = [];
  let key = name;
  let requestId = 1;
  /** Of the last registration. */
  let awaited = 0;
  const cache = new Map<string, string>();
  const stopping = new AbortController();
  const choices = (): readonly RegistryChoice[] =>
    registryChoices({ node: nodeId as NodeId, configured: registries, learned });
  const session = createSession({
    registries: {
      count: () => choices().length,
      after: (one) => choiceAfter(choices(), one),
      better: (one) => betterThan(choices(), one),
    },
    fallbackTime: () => milliseconds(options.fallbackTime ?? 30_000),
    identity: enrolled.identity,
    agentVersion: 'test',
    logger,
    clock: systemClock,
    random: Math.random,
  });
  const register = (): void => {
    registered = false;
    requestId += 1;
    awaited = requestId;
    const message = { ...registration(address, [multipoint(key)]), requestId };
    session.send({ type: 'nhrp', message });
  };
  const running = session.run(stopping.signal, {
    onConnected: (connection) => {
      endpoint = connection.endpoint;
      register();
    },
    onDisconnected: (reason) => {
      ends.push(`${endpoint ?? ''}: ${reason}`);
      endpoint = undefined;
      registered = false;
    },
    onRevoked: () => undefined,
    onMessage: (push) => {
      if (push.type === 'overlay-config') learned = push.config.registries;
      if (push.type !== 'nhrp') return;
      const { message } = push;
      const { body } = message;
      if (body.type === 'registration-reply' && message.requestId === awaited) {
        registered = body.cies[0]?.code === 0;
        if (!registered) register();
      }
      if (body.type === 'resolution-reply' && body.target) cache.set(message.destination, body.target.publicKey);
      if (body.type === 'purge-request') {
        for (const one of cache.keys()) {
          if (purgedBy(body).some((prefix) => containsAddress(prefix, one as Address))) cache.delete(one);
        }
        session.send({ type: 'nhrp', message: { ...message, body: { ...body, type: 'purge-reply' } } });
      }
    },
  });
  return {
    name,
    address,
    endpoint: () => endpoint,
    registered: () => registered,
    ends: () => [...ends],
    move: (next) => {
      key = next;
      if (endpoint !== undefined) register();
    },
    key: () => multipoint(key).publicKey,
    ask: (destination) => {
      requestId += 1;
      session.send({ type: 'nhrp', message: { ...resolution(address, destination), requestId } });
    },
    known: (destination) => cache.get(destination),
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
