import { spawn } from 'node:child_process';
import { dirname, extname, join } from 'node:path';
import { ProgramError } from '#proto/kit/errors.ts';
import { ExitCode, type Io } from './io.ts';
import { exists } from './state-dir.ts';

export interface DownOptions {
  readonly interfacePrefix?: string;
  readonly runDir?: string;
}

/** Runs `dmwg-agent down`, which takes tunnels, routes and rules away. Its output goes straight on. Throws if it fails. */
export async function runAgentDown(io: Io, stateDir: string, options: DownOptions): Promise<void> {
  const argv = ['down', '--state-dir', stateDir];
  if (options.interfacePrefix !== undefined) argv.push('--interface-prefix', options.interfacePrefix);
  if (options.runDir !== undefined) argv.push('--run-dir', options.runDir);
  await runProgram(io, 'agent', argv);
}

/** Its output goes straight on. Throws if it fails. */
export async function runProgram(io: Io, name: 'agent' | 'registry', argv: readonly string[]): Promise<void> {
  const code = await run(await sibling(io.program, name), argv);
  if (code !== 0) throw new ExitCode(code);
}

/** It lies beside this program: dist/cli.cjs has dist/agent.cjs. */
async function sibling(program: string, name: string): Promise<readonly string[]> {
  const bundle = join(dirname(program), `${name}.cjs`);
  if (await exists(bundle)) return [bundle];
  // From source: registry/cli/main.ts has agent/main.ts, run with the same loader.
  const source = join(dirname(program), '..', '..', name, 'main.ts');
  if (extname(program) === '.ts' && (await exists(source))) return [...process.execArgv, source];
  throw new ProgramError(`${bundle} is missing; build or install dmwg again`);
}

function run(program: readonly string[], argv: readonly string[]): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    const child = spawn(process.execPath, [...program, ...argv], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) => {
      resolve(code ?? 1);
    });
  });
}
