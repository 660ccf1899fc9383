// Between the loop and the session with the registry: what it tells, and which registries there are.
import type { AgentConfig } from '#proto/codec/agent-config.ts';
import { betterThan, choiceAfter, type RegistryChoice, registryChoices } from './decide/registry-choice.ts';
import type { AgentState } from './decide/state.ts';
import type { Registries, SessionHandlers } from './io/session-port.ts';
import type { Loop } from './loop.ts';

export function sessionEvents(loop: Loop): SessionHandlers {
  return {
    onConnected: ({ endpoint }) => {
      loop.post({ kind: 'connected', endpoint });
    },
    onDisconnected: () => {
      loop.post({ kind: 'disconnected' });
    },
    onMessage: (message) => {
      loop.post({ kind: 'message', message });
    },
    onRevoked: (detail) => {
      if (loop.state().revoked === undefined) loop.post({ kind: 'revoked', detail });
    },
  };
}

export function registriesOf({ registry, node }: AgentConfig, state: () => AgentState): Registries {
  const choices = (): readonly RegistryChoice[] =>
    registryChoices({ node: node.id, configured: registry, learned: state().config?.registries ?? [] });
  return {
    count: () => choices().length,
    after: (address) => choiceAfter(choices(), address),
    better: (address) => betterThan(choices(), address),
  };
}
