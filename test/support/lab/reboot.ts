import type { Agent } from './agent.ts';
import { emptyFootprint, footprintOf, programsOn } from './footprint.ts';

/** What is left of an agent's machine after its power was cut: the state dir, and nothing of the kernel's. The agent has to be started. */
export async function cutPower(agent: Agent): Promise<void> {
  const { host } = agent;
  await agent.stop('SIGKILL');
  for (const { pid } of await programsOn(host)) process.kill(pid, 'SIGKILL');
  const { interfaces, nft, rules } = await footprintOf(host);
  for (const name of interfaces) await host.runAny(['ip', 'link', 'delete', 'dev', name]);
  for (const table of nft) await host.run(['nft', 'delete', ...table.split(' ')]);
  for (const rule of rules)
    await host.run(['ip', 'rule', 'delete', ...rule.replace(/^(\d+):/, 'pref $1').split(/\s+/)]);
  const left = await footprintOf(host);
  if (JSON.stringify({ ...left, sockets: [] }) !== JSON.stringify(emptyFootprint)) {
    throw new Error(`${host.name} still has ${JSON.stringify(left)}`);
  }
}
