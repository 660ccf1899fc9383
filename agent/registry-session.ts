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

/** All that may be asked: those of agent.yaml, and those that the registry named. */
export function choicesOf({ registry, node }: AgentConfig, { config }: AgentState): readonly RegistryChoice[] {
  return registryChoices({ node: node.id, configured: registry, learned: config?.registries ?? [] });
}

export function registriesOf(config: AgentConfig, state: () => AgentState): Registries {
  const choices = (): readonly RegistryChoice[] => choicesOf(config, state());
  return {
    count: () => choices().length,
    after: (address) => choiceAfter(choices(), address),
    better: (address) => betterThan(choices(), address),
  };
}
