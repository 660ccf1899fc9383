import type { Command } from 'commander';
import { collect } from './find.ts';
import { runProgram } from './sibling-program.ts';
import type { Io } from './io.ts';
import { defaultRegistryDir, givenStateDir, type StateDirOptions } from './state-dir.ts';

interface RestoreOptions extends StateDirOptions {
  readonly etcd: readonly string[];
}

/** What only the registry's program can do, as it knows etcd: backup, restore. */
export function addBackup(program: Command, io: Io): void {
  withRegistryDir(program.command('backup').description('write the whole overlay to a new file, with its CA'))
    .argument('<file>', 'must not exist; it will be readable to its owner alone')
    .addHelpText('after', backupExamples)
    .action((file: string, options: StateDirOptions) => run(io, ['backup', file], options));
  withRegistryDir(program.command('restore').description('make a registry of a backup, where there is none'))
    .argument('<file>', 'what `dmwg backup` wrote')
    .option('--etcd <url>', 'a member of the etcd cluster to use from now on (repeat)', collect, [])
    .addHelpText('after', restoreExamples)
    .action((file: string, options: RestoreOptions) =>
      run(io, ['restore', file, ...options.etcd.flatMap((url) => ['--etcd', url])], options),
    );
}

function withRegistryDir(command: Command): Command {
  return command.option('--state-dir <dir>', `of the registry (else $DMWG_STATE_DIR, ${defaultRegistryDir})`);
}

function run(io: Io, argv: readonly string[], options: StateDirOptions): Promise<void> {
  return runProgram(io, 'registry', [...argv, '--state-dir', givenStateDir(io, options) ?? defaultRegistryDir]);
}

const backupExamples = `
The registry may run or not. Its own etcd is started for the time being if need be.

Examples:
  dmwg backup /root/lab-2026-11-25.dmwg
  dmwg backup lab.dmwg --state-dir ./reg
`;

const restoreExamples = `
Nothing is overwritten: with other data there it stops. Stop all replicas before. If it was interrupted, run it again.

Examples:
  dmwg restore lab.dmwg --state-dir /var/lib/dmwg/registry
  dmwg restore lab.dmwg --etcd https://etcd1.example.net:2379 --etcd https://etcd2.example.net:2379
`;
