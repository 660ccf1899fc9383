import type { RegistryEndpoint } from '#proto/model/session.ts';
import type { Instant } from '#proto/model/time.ts';
import { betterThan, type RegistryChoice } from './registry-choice.ts';
import type { AgentState } from './state.ts';

export interface RegistryStatus {
  readonly connected: boolean;
  /** host:port */
  readonly endpoint: string | null;
  /** Learned from the registry, best first. */
  readonly replicas: readonly RegistryEndpoint[];
  /** All that may be asked, in the order in which they are. */
  readonly servers: readonly RegistryServer[];
}

/** A next-hop server, as the hubs are others. */
export interface RegistryServer {
  /** host:port */
  readonly address: string;
  /** Null of one that is in agent.yaml alone. */
  readonly priority: number | null;
  readonly cluster: number | null;
  /** The session is with it; it is tried, or looked at for the way back, as it is better; it waits for its turn. */
  readonly state: 'up' | 'probe' | 'down';
  /** Seconds of the session with it. */
  readonly age: number | null;
}

export function registryStatus(
  { config, connectedTo, connectedAt }: AgentState,
  choices: readonly RegistryChoice[],
  now: Instant,
): RegistryStatus {
  const replicas = config?.registries ?? [];
  const tried = new Set(
    connectedTo === undefined ? choices.map(({ address }) => address) : betterThan(choices, connectedTo),
  );
  const servers = choices.map(({ address }): RegistryServer => {
    const replica = replicas.find((one) => one.address === address);
    const isUp = address === connectedTo;
    return {
      address,
      priority: replica?.priority ?? null,
      cluster: replica?.cluster ?? null,
      state: isUp ? 'up' : tried.has(address) ? 'probe' : 'down',
      age: isUp && connectedAt !== undefined ? Math.max(0, Math.round((now - connectedAt) / 1000)) : null,
    };
  });
  return { connected: connectedTo !== undefined, endpoint: connectedTo ?? null, replicas, servers };
}
