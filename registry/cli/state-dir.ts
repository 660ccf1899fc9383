import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { ProgramError } from '#proto/kit/errors.ts';
import type { Io } from './io.ts';

export const defaultRegistryDir = '/var/lib/dmwg/registry';
export const defaultNodeDir = '/var/lib/dmwg/node';

export interface StateDirOptions {
  readonly stateDir?: string;
}

export function withStateDir(command: Command): Command {
  return command.option(
    '--state-dir <dir>',
    `where this node keeps its state (else $DMWG_STATE_DIR, ${defaultNodeDir})`,
  );
}

/** The absolute path of --state-dir, else $DMWG_STATE_DIR; undefined if neither is given. */
export function givenStateDir(io: Io, options: StateDirOptions): string | undefined {
  const given = options.stateDir ?? io.environment['DMWG_STATE_DIR'];
  return given === undefined || given === '' ? undefined : resolve(given);
}

/** The state dir of a node that joined; the default one if none is named. */
export async function nodeStateDir(io: Io, options: StateDirOptions): Promise<string> {
  const given = givenStateDir(io, options);
  const dir = given ?? defaultNodeDir;
  if (await exists(join(dir, 'agent.yaml'))) return dir;
  throw new ProgramError(
    given === undefined
      ? `this machine has not joined an overlay (no ${defaultNodeDir}/agent.yaml); give --state-dir DIR, or join with dmwg join`
      : `${dir} is not the state dir of a node (no agent.yaml in it); join with: dmwg join TOKEN --state-dir ${dir}`,
  );
}

export async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
