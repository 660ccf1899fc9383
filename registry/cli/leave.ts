import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ProgramError } from '#proto/kit/errors.ts';
import { type DownOptions, runAgentDown } from './sibling-program.ts';
import { agentRuns } from './agent-socket.ts';
import { fromNode } from './find.ts';
import type { Io } from './io.ts';
import { withRegistry } from './rpc.ts';
import { CallError } from './rpc-error.ts';
import { nodeStateDir, type StateDirOptions, withStateDir } from './state-dir.ts';

interface LeaveOptions extends StateDirOptions, DownOptions {
  readonly force?: boolean;
}

export function addDown(program: Command, io: Io): void {
  withAgentPlace(
    program.command('down').description("take this node's tunnels, routes and rules away; it stays a node"),
  )
    .addHelpText('after', '\nExamples:\n  dmwg down --state-dir /var/lib/dmwg/node\n')
    .action(async (options: StateDirOptions & DownOptions) => {
      await runAgentDown(io, await nodeStateDir(io, options), options);
    });
}

export function addLeave(program: Command, io: Io): void {
  withAgentPlace(
    program.command('leave').description('leave the overlay: de-register, take the tunnels away, forget the keys'),
  )
    .option('--force', 'go on although the registry cannot be told')
    .addHelpText('after', '\nExamples:\n  dmwg leave --state-dir /var/lib/dmwg/node\n')
    .action((options: LeaveOptions) => leave(io, options));
}

function withAgentPlace(command: Command): Command {
  return withStateDir(command)
    .option('--interface-prefix <prefix>', 'of the interfaces, as it was given to dmwg-agent')
    .option('--run-dir <dir>', 'as it was given to dmwg-agent');
}

async function leave(io: Io, options: LeaveOptions): Promise<void> {
  const dir = await nodeStateDir(io, options);
  await deregister(io, dir, options.force === true);
  try {
    await runAgentDown(io, dir, options);
  } catch (error) {
    io.err(`dmwg: the node is de-registered, but not taken down; run dmwg leave --state-dir ${dir} again\n`);
    throw error;
  }
  io.out('Tunnels, routes and rules are gone.\n');
  if (await agentRuns(dir)) io.err(`dmwg: the agent of ${dir} still runs; stop it\n`);
  // agent.yaml first: without it the directory is no longer a node's.
  const names = ['agent.yaml', 'node.key', 'node.crt', 'ca.crt', 'keys', 'state.json', 'agent.socket-path'];
  for (const name of names) await rm(join(dir, name), { recursive: true, force: true });
  io.out(`Keys, certificate and configuration in ${dir} are removed.\n`);
}

async function deregister(io: Io, dir: string, force: boolean): Promise<void> {
  try {
    const access = await fromNode(dir);
    await withRegistry(access, (registry) => registry.ask(({ enrolment }) => enrolment.leave.bind(enrolment), {}));
    io.out('The registry has forgotten this node.\n');
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    if (error instanceof CallError && error.fault === 'revoked') {
      io.out('The registry had forgotten this node before.\n');
      return;
    }
    if (!force) throw new ProgramError(`${error.message}; nothing was changed: try again, or go on with --force`);
    io.err(`dmwg: the registry was not told: ${error.message}; revoke this node there\n`);
  }
}
