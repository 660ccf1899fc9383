import type { Agent } from '#test/support/lab/agent.ts';
import { createLab, type Lab } from '#test/support/lab/lab.ts';
import type { LabPlan } from '#test/support/lab/plan.ts';
import { hubAddress, hubEndpoint, registryAddress } from '#test/support/lab/worlds.ts';
import { until } from '#test/support/poll.ts';
import { createOverlay, type Overlay, type OverlayOptions } from '#test/support/programs.ts';

/** a and b behind port-restricted NATs, c and d on the internet. */
const plan: LabPlan = {
  hosts: {
    registry: { attach: { internet: registryAddress } },
    hub: { attach: { internet: hubAddress } },
    a: { attach: { 'home-a': '192.168.11.2/24' }, gateway: '192.168.11.1' },
    b: { attach: { 'home-b': '192.168.12.2/24' }, gateway: '192.168.12.1' },
    c: { attach: { internet: '198.51.100.7' } },
    d: { attach: { internet: '198.51.100.8' } },
  },
  nats: {
    'nat-a': { kind: 'restricted', attach: { internet: '203.0.113.11', 'home-a': '192.168.11.1/24' } },
    'nat-b': { kind: 'restricted', attach: { internet: '203.0.113.12', 'home-b': '192.168.12.1/24' } },
  },
};

export const publicAddress = { hub: hubAddress, c: '198.51.100.7', d: '198.51.100.8' } as const;

export interface BenchWorld {
  readonly lab: Lab;
  readonly overlay: Overlay;
  readonly hub: Agent;
  readonly spokes: { readonly a: Agent; readonly b: Agent; readonly c: Agent; readonly d: Agent };
}

export async function withLab<T>(body: (lab: Lab) => Promise<T>): Promise<T> {
  const lab = await createLab(plan);
  try {
    return await body(lab);
  } finally {
    await lab.dispose();
  }
}

/** A hub and four spokes, connected to their hub. */
export async function withWorld<T>(options: OverlayOptions, body: (world: BenchWorld) => Promise<T>): Promise<T> {
  return withLab(async (lab) => {
    const overlay = await createOverlay(lab, { logLevel: 'info', ...options });
    try {
      const hub = await overlay.join('hub', { role: 'hub', endpoint: hubEndpoint });
      const spokes = {
        a: await overlay.join('a'),
        b: await overlay.join('b'),
        c: await overlay.join('c'),
        d: await overlay.join('d'),
      };
      await overlay.settled();
      return await body({ lab, overlay, hub, spokes });
    } finally {
      await overlay.dispose();
    }
  });
}

/** Waits until these have no direct peer and no shortcut left. */
export async function idle(lab: Lab, agents: readonly Agent[]): Promise<void> {
  const done = async (): Promise<boolean> => {
    const all = await Promise.all(agents.map((agent) => agent.status()));
    if (!all.every((status) => status.peers.length === 0 && status.shortcuts.length === 0)) return false;
    // A closed tunnel's peer stays for some seconds: only the reflector is left.
    const peers = await Promise.all(agents.map((agent) => agent.host.run(['wg', 'show', agent.multipoint, 'peers'])));
    return peers.every((text) => text.trim().split('\n').length === 1);
  };
  await until('direct tunnels are gone', done, { within: 60_000, every: 250, explain: () => lab.state() });
}
