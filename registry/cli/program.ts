// The `dmwg` command: one file a command, found here. Imports proto, the pure deciders and a gRPC client; never the
// registry's server or store, nor what the agent does to its host. Every command throws ProgramError with one line that says
// what to do; this file turns it into that line and the exit code: 0 done, 1 failed, 2 wrong usage.
import { Command, CommanderError } from 'commander';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import { version } from '#proto/kit/version.ts';
import { addDebug } from './debug.ts';
import { addDoctor } from './doctor.ts';
import { addDrain } from './drain.ts';
import { addDown, addLeave } from './leave.ts';
import { addExit } from './exit.ts';
import { addInit } from './init.ts';
import { ExitCode, type Io } from './io.ts';
import { addJoin } from './join.ts';
import { addOrders } from './orders.ts';
import { addPrefix } from './prefix.ts';
import { addBackup } from './registry-program.ts';
import { addResolve } from './resolve.ts';
import { addShow } from './show.ts';
import { addStatus } from './status.ts';
import { addToken } from './token.ts';
import { addTrace } from './trace.ts';

/** Runs one command line, without the program's name. Returns the exit code; never throws. */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  const program = new Command('dmwg')
    .description('Dynamic Multipoint WireGuard: set up, join and look into an overlay network.')
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: io.out,
      writeErr: io.err,
      outputError: (text, write) => {
        write(`dmwg: ${oneLine(text.replace(/^error: /, '')).replace(/\.$/, '')}; see dmwg --help\n`);
      },
    });
  for (const add of [
    addInit,
    addToken,
    addJoin,
    addStatus,
    addShow,
    addResolve,
    addDebug,
    addOrders,
    addDrain,
    addTrace,
    addExit,
    addPrefix,
    addBackup,
    addDown,
    addLeave,
    addDoctor,
  ]) {
    add(program, io);
  }
  program.addHelpText('after', examples);
  try {
    if (argv.length === 0) throw new ProgramError('which command? See dmwg --help', 2);
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    return exitCode(error, io);
  }
}

function exitCode(error: unknown, io: Io): number {
  if (error instanceof ExitCode) return error.code;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  io.err(`dmwg: ${oneLine(errorText(error))}\n`);
  return error instanceof ProgramError ? error.exitCode : 1;
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ');
}

const examples = `
Examples:
  dmwg init --state-dir /var/lib/dmwg/registry --overlay-name lab --pool 10.100.0.0/16 --registry-address 192.0.2.10
  dmwg token create --role hub
  dmwg join dmwg1.AbC... --state-dir /var/lib/dmwg/node
  dmwg show dmvpn --watch
  dmwg status

Exit codes: 0 done, 1 failed, 2 wrong usage.
`;
