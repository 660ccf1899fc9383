import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parseAgentConfig, withExit } from '#proto/codec/agent-config.ts';
import { writeFileAtomic } from '#proto/kit/atomic-file.ts';
import { ProgramError } from '#proto/kit/errors.ts';
import { parsePrefix } from '#proto/model/address.ts';
import { parseNodeName } from '#proto/model/names.ts';
import { parseAll } from '#proto/model/result.ts';
import type { ExitConfig } from '#proto/model/routing.ts';
import { agentRuns, askAgent } from './agent-socket.ts';
import type { Io } from './io.ts';
import { nodeStateDir, type StateDirOptions, withStateDir } from './state-dir.ts';

interface SetOptions extends StateDirOptions {
  readonly killSwitch?: boolean;
  readonly direct: readonly string[];
}

export function addExit(program: Command, io: Io): void {
  const command = program.command('exit').description('full tunnel: by which node everything else leaves the overlay');
  withStateDir(command.command('set').description('leave by this node, which must announce a default route'))
    .argument('<node>', 'a hub or another spoke, by its name')
    .option('--kill-switch', 'let nothing out past the tunnels, also while they are down')
    .option('--direct <cidr>', 'reached past the tunnels all the same (repeat)', collect, [])
    .addHelpText('after', '\nExamples:\n  dmwg exit set gateway --kill-switch --direct 192.168.1.0/24\n')
    .action(async (node: string, options: SetOptions) => {
      const via = parseNodeName(node);
      if (!via.ok) throw new ProgramError(via.fault.message, 2);
      const direct = parseAll(options.direct, parsePrefix);
      if (!direct.ok) throw new ProgramError(`--direct${direct.fault.message}`, 2);
      const exit = { via: via.value, killSwitch: options.killSwitch === true, direct: direct.value };
      await setExit(io, options, exit);
    });
  withStateDir(command.command('off').description('only the overlay goes by the tunnels')).action(
    (options: StateDirOptions) => setExit(io, options, undefined),
  );
}

async function setExit(io: Io, options: StateDirOptions, exit: ExitConfig | undefined): Promise<void> {
  const dir = await nodeStateDir(io, options);
  const file = join(dir, 'agent.yaml');
  const changed = withExit(await readFile(file, 'utf8'), exit);
  const config = changed.ok ? parseAgentConfig(changed.value) : changed;
  if (!changed.ok || !config.ok) throw new ProgramError(`${file}: ${config.ok ? '' : config.fault.message}`);
  await writeFileAtomic(file, changed.value);
  if (await agentRuns(dir)) await askAgent(dir, 'POST', '/reload');
  else io.err('dmwg: the agent does not run; it will do so when it is started\n');
  io.out(exit ? `Leaving by ${exit.via}.\n` : 'Only the overlay goes by the tunnels.\n');
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
