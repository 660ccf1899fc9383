// Carries out what plan.ts decided. Every fault gives back what mends it.
import { cutPower } from '#test/support/lab/reboot.ts';
import type { Service } from '#test/support/lab/service.ts';
import type { Fault, Round } from './plan.ts';
import type { ChaosWorld } from './world.ts';

type Mend = () => Promise<void>;

/** Resolves when all incidents of the round have been and are mended. */
export async function carryOut(world: ChaosWorld, round: Round): Promise<void> {
  await Promise.all(
    round.map(async ({ at, lasts, fault }) => {
      await elapsed(at);
      const mend = await befall(world, fault);
      await elapsed(lasts);
      await mend();
    }),
  );
}

async function befall(world: ChaosWorld, fault: Fault): Promise<Mend> {
  const { lab, link } = world;
  switch (fault.kind) {
    case 'kill-agent':
      return kill(found(world.agents, fault.node));
    case 'freeze-agent':
      return freeze(found(world.agents, fault.node));
    case 'cut-power': {
      const agent = found(world.agents, fault.node);
      await cutPower(agent);
      return () => agent.start();
    }
    case 'kill-registry':
      return kill(found(world.registries, fault.registry));
    case 'freeze-registry':
      return freeze(found(world.registries, fault.registry));
    case 'kill-etcd':
      return kill(found(world.etcds, fault.registry));
    case 'freeze-etcd':
      return freeze(found(world.etcds, fault.registry));
    case 'cut': {
      const [one, other] = [link(fault.between[0]), link(fault.between[1])];
      // Two behind one NAT have a LAN that is not the internet's.
      if (one === other) return () => Promise.resolve();
      await lab.cut(one, other);
      return () => lab.heal(one, other);
    }
    case 'isolate':
      await lab.lose(link(fault.host), 100);
      return () => lab.lose(link(fault.host), 0);
    case 'set-clock': {
      const clock = found(world.clocks, fault.host);
      await clock.set(fault.offset);
      return () => clock.set(0);
    }
  }
}

async function kill(service: Service): Promise<Mend> {
  await service.stop('SIGKILL');
  return () => service.start();
}

async function freeze(service: Service): Promise<Mend> {
  process.kill(service.pid(), 'SIGSTOP');
  return Promise.resolve(() => {
    process.kill(service.pid(), 'SIGCONT');
    return Promise.resolve();
  });
}

function found<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`the world has no ${name}`);
  return value;
}

async function elapsed(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
