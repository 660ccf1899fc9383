import type { FirewallState } from '#agent/decide/host.ts';
import { ExecError, type Run } from '#agent/io/host-port.ts';
import { firewallText } from './firewall-text.ts';

/** Makes our table `to` in one transaction: there is no moment without it. */
export async function setFirewall(
  run: Run,
  table: string,
  from: FirewallState | undefined,
  to: FirewallState,
): Promise<void> {
  const load = (text: string): Promise<unknown> => run('nft', ['-f', '-'], { stdin: text });
  if (from) {
    try {
      await load(firewallText(table, from, to));
      return;
    } catch (error) {
      // The table is not what it was: it is made anew below.
      if (!(error instanceof ExecError)) throw error;
    }
  }
  await load(firewallText(table, undefined, to));
}

/** Fine if there is none. */
export async function removeFirewall(run: Run, table: string): Promise<void> {
  await run('nft', ['-f', '-'], { stdin: `add table inet ${table}\ndelete table inet ${table}\n` });
}
