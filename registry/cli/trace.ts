import type { Command } from 'commander';
import * as z from 'zod';
import { ProgramError } from '#proto/kit/errors.ts';
import { parseAddress } from '#proto/model/address.ts';
import { askAgent } from './agent-socket.ts';
import type { Io } from './io.ts';
import { type OutputOptions, present, withOutput } from './output.ts';
import { nodeStateDir, type StateDirOptions, withStateDir } from './state-dir.ts';

const shape = z.object({
  address: z.string(),
  prefix: z.string().nullable(),
  interface: z.string().nullable(),
  path: z.string(),
  node: z.string().nullable(),
  hub: z.string().nullable(),
  why: z.array(z.string()),
});

export function addTrace(program: Command, io: Io): void {
  withOutput(withStateDir(program.command('trace').description('the way from this node to an address, and why')))
    .argument('<address>', 'an IPv4 or IPv6 address')
    .addHelpText('after', '\nExamples:\n  dmwg trace 10.20.5.1\n')
    .action(async (text: string, options: StateDirOptions & OutputOptions) => {
      const address = parseAddress(text);
      if (!address.ok) throw new ProgramError(address.fault.message, 2);
      const stateDir = await nodeStateDir(io, options);
      await present(io, options, async () => {
        const data = await askAgent(stateDir, 'GET', `/trace/${address.value}`);
        return { data, table: () => traceText(data) };
      });
    });
}

/** "10.20.5.1: by hub-a (dmwg-h1) to branch", and the reasons. */
export function traceText(data: unknown): string {
  const parsed = shape.safeParse(data);
  if (!parsed.success)
    throw new ProgramError("the agent's answer is not understood; dmwg and dmwg-agent must be of one version");
  const { address, prefix, path, node, hub, why } = parsed.data;
  const device = parsed.data.interface === null ? '' : ` (${parsed.data.interface})`;
  const to = node === null ? '' : ` to ${node}`;
  const way: Readonly<Record<string, string>> = {
    self: 'this node',
    local: `this node\'s own networks${device}`,
    direct: `directly${device}${to}`,
    hub: `by the hub ${hub ?? ''}${device}${to}`,
    exit: `out of the overlay by ${node ?? ''}${device}`,
    outside: 'not by the overlay',
  };
  const route = prefix === null ? '' : `, route ${prefix}`;
  return [`${address}: ${way[path] ?? path}${route}`, ...why.map((line) => `  ${line}`), ''].join('\n');
}
