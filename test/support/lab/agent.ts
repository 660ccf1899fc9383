import { join } from 'node:path';
import { ask } from './http.ts';
import type { Host } from './host.ts';
import { binary, createService, type Service } from './service.ts';

export interface AgentStatus {
  readonly node: string;
  readonly role: string;
  readonly address: string;
  readonly address6?: string | null;
  readonly registry: {
    readonly connected: boolean;
    readonly endpoint: string | null;
    readonly replicas: readonly { readonly address: string }[];
  };
  readonly hubs: readonly {
    readonly node: string;
    readonly state: string;
    readonly active: boolean;
    readonly uplink?: string | null;
    readonly interface: string;
  }[];
  readonly uplinks: readonly { readonly name: string; readonly state: string; readonly active: boolean }[];
  readonly peers: readonly PeerStatus[];
  readonly shortcuts: readonly { readonly prefix: string; readonly node: string }[];
}

export interface PeerStatus {
  readonly node: string;
  readonly address: string;
  readonly path: 'direct' | 'hub';
  readonly state: string;
  readonly endpoint?: string | null;
  readonly bfd?: string | null;
  readonly reason?: string | null;
}

export interface Agent extends Service {
  readonly name: string;
  readonly role: 'spoke' | 'hub';
  /** Node addresses, known after the join. */
  readonly address: string;
  readonly address6: string;
  /** The multipoint interface. */
  readonly multipoint: string;
  status(): Promise<AgentStatus>;
  /** Its view of another node. */
  peer(name: string): Promise<PeerStatus | undefined>;
}

export interface AgentOptions {
  readonly name: string;
  readonly role: 'spoke' | 'hub';
  readonly host: Host;
  readonly stateDir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly node: { readonly address: string; readonly address6: string | null };
  readonly more: readonly string[];
}

export function createAgent({ name, role, host, stateDir, env, node, more }: AgentOptions): Agent {
  const runDir = join(stateDir, 'run');
  const places = ['--state-dir', stateDir, '--interface-prefix', host.interfacePrefix, '--run-dir', runDir];
  const running = createService({
    host,
    stateDir,
    env,
    argv: [binary('dmwg-agent'), ...places, ...more],
    isReady: () => true,
  });
  // What `dmwg status -o json` prints, without a program for every look: those would keep a slow machine from its work.
  const status = async (): Promise<AgentStatus> =>
    JSON.parse(await ask(join(runDir, 'agent.sock'), '/status')) as AgentStatus;
  return {
    ...running,
    name,
    role,
    address: node.address,
    address6: node.address6 ?? '',
    multipoint: `${host.interfacePrefix}0`,
    status,
    peer: async (other) => (await status()).peers.find((peer) => peer.node === other),
  };
}
