// WireGuard set up by hand, as people do without dmwg: what the product is compared with.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from './host.ts';
import { run } from './process.ts';

export interface StaticPeer {
  readonly publicKey: string;
  readonly allowedIps: readonly string[];
  /** ADDRESS:PORT */
  readonly endpoint?: string;
}

export interface StaticTunnel {
  readonly name: string;
  readonly publicKey: string;
  addPeer(peer: StaticPeer): Promise<void>;
  remove(): Promise<void>;
}

export interface StaticTunnelPlan {
  /** With its prefix length: what is in the prefix is routed into the tunnel. */
  readonly address: string;
  readonly port: number;
  readonly mtu: number;
}

let tunnels = 0;

/** Kernel WireGuard if there is, else wireguard-go: the choice that the agent makes too. */
export async function createStaticTunnel(host: Host, plan: StaticTunnelPlan): Promise<StaticTunnel> {
  tunnels += 1;
  const name = `${host.otherPrefix}${String(tunnels)}`;
  const privateKey = (await run(['wg', 'genkey'])).trim();
  const publicKey = (await run(['wg', 'pubkey'], { input: privateKey })).trim();
  if ((await host.runAny(['ip', 'link', 'add', name, 'type', 'wireguard'])).code !== 0) {
    // As a service manager would: beside dmwg's it must not gain by sharing a scheduling group with the load (sched_autogroup).
    await host.run(['setsid', '--wait', 'wireguard-go', name], { env: { LOG_LEVEL: 'silent' } });
  }
  const folder = await mkdtemp(join(tmpdir(), 'dmwg-key-'));
  await writeFile(
    join(folder, 'key'),
    `${privateKey}
`,
    { mode: 0o600 },
  );
  await host.run(['wg', 'set', name, 'listen-port', String(plan.port), 'private-key', join(folder, 'key')]);
  await rm(folder, { recursive: true });
  await host.run(['ip', 'address', 'add', plan.address, 'dev', name]);
  await host.run(['ip', 'link', 'set', name, 'mtu', String(plan.mtu), 'up']);
  return {
    name,
    publicKey,
    addPeer: async ({ publicKey: peer, allowedIps, endpoint }) => {
      const where = endpoint === undefined ? [] : ['endpoint', endpoint, 'persistent-keepalive', '25'];
      await host.run(['wg', 'set', name, 'peer', peer, 'allowed-ips', allowedIps.join(','), ...where]);
    },
    remove: async () => {
      await host.run(['ip', 'link', 'delete', name]);
    },
  };
}
