import { join } from 'node:path';
import type { Command } from 'commander';
import { parseAgentConfig } from '#proto/codec/agent-config.ts';
import { parseRegistryConfig } from '#proto/codec/registry-config.ts';
import { ProgramError } from '#proto/kit/errors.ts';
import type { Result } from '#proto/model/result.ts';
import { agentStatus } from './agent-socket.ts';
import { type Check, checkMachine, type Duty } from './checks.ts';
import { checkAgent, checkRegistry, checkStateDir } from './checks-state.ts';
import { findRegistry } from './find.ts';
import type { Io } from './io.ts';
import { type Machine, thisMachine } from './machine.ts';
import { type OutputOptions, present, withOutput } from './output.ts';
import { withRegistry } from './rpc.ts';
import { overlay } from './show.ts';
import { defaultNodeDir, defaultRegistryDir, givenStateDir, type StateDirOptions } from './state-dir.ts';
import { formatTable } from './table.ts';

export function addDoctor(program: Command, io: Io): void {
  withOutput(program.command('doctor').description('what this machine lacks, and the commands that mend it'))
    .option(
      '--state-dir <dir>',
      'of the node or registry on this machine (else $DMWG_STATE_DIR, else the default ones)',
    )
    .addHelpText('after', '\nExamples:\n  dmwg doctor\n  dmwg doctor --state-dir /var/lib/dmwg/node -o json\n')
    .action((options: StateDirOptions & OutputOptions) => doctor(io, options));
}

async function doctor(io: Io, options: StateDirOptions & OutputOptions): Promise<void> {
  const machine = thisMachine(io.environment['PATH']);
  const checks = await examine(io, machine, givenStateDir(io, options));
  await present(io, options, () => Promise.resolve({ data: checks, table: () => checkTable(checks) }));
  const failed = checks.filter(({ level }) => level === 'fail');
  if (failed.length > 0) {
    const names = failed.map(({ name }) => name).join(', ');
    throw new ProgramError(`not ready: ${names}; mend with the commands above and run dmwg doctor again`);
  }
}

async function examine(io: Io, machine: Machine, given: string | undefined): Promise<Check[]> {
  const places = await Promise.all(
    (given === undefined ? [defaultNodeDir, defaultRegistryDir] : [given]).map((dir) => examineDir(machine, dir)),
  );
  const found = places.filter((place) => place !== undefined);
  if (found.length === 0) {
    const nothing: Check[] =
      given === undefined
        ? []
        : [
            {
              name: 'state dir',
              level: 'fail',
              detail: `${given} is not that of a node or a registry, or is unreadable`,
              fix: `dmwg join TOKEN --state-dir ${given}`,
            },
          ];
    return [...(await checkMachine(machine, 'unknown', true)), ...nothing];
  }
  const checks: Check[] = [];
  for (const { dir, duty, config, ownEtcd } of found) {
    checks.push(...(await checkMachine(machine, duty, ownEtcd)), config, ...(await checkStateDir(machine, dir, duty)));
    checks.push(await checkRegistry(dir, duty, () => askRegistry(io, dir)));
    if (duty !== 'registry') checks.push(await checkAgent(dir, () => agentStatus(dir)));
  }
  return distinct(checks);
}

interface Place {
  readonly dir: string;
  readonly duty: Duty;
  readonly config: Check;
  readonly ownEtcd: boolean;
}

async function examineDir(machine: Machine, dir: string): Promise<Place | undefined> {
  const registry = await machine.read(join(dir, 'registry.yaml'));
  if (registry !== undefined) {
    const parsed = parseRegistryConfig(registry);
    const ownEtcd = !parsed.ok || parsed.value.etcd.length === 0;
    return { dir, duty: 'registry', config: checkConfig(join(dir, 'registry.yaml'), parsed), ownEtcd };
  }
  const agent = await machine.read(join(dir, 'agent.yaml'));
  if (agent === undefined) return undefined;
  const parsed = parseAgentConfig(agent);
  const duty = parsed.ok ? parsed.value.node.role : 'spoke';
  return { dir, duty, config: checkConfig(join(dir, 'agent.yaml'), parsed), ownEtcd: false };
}

function checkConfig(path: string, parsed: Result<unknown>): Check {
  if (parsed.ok) return { name: 'configuration', level: 'ok', detail: path };
  return { name: 'configuration', level: 'fail', detail: `${path}: ${parsed.fault.message}`, fix: `edit ${path}` };
}

async function askRegistry(io: Io, stateDir: string): Promise<unknown> {
  // The state dir alone decides: a profile in the environment may be of another overlay.
  const access = await findRegistry({ ...io, environment: {} }, { stateDir });
  return withRegistry(access, overlay);
}

/** A machine that is both node and registry is checked for both, and told once. */
function distinct(checks: readonly Check[]): Check[] {
  return [...new Map(checks.map((check) => [JSON.stringify(check), check])).values()];
}

function checkTable(checks: readonly Check[]): string {
  return formatTable<Check>(
    [
      { title: 'STATE', text: ({ level }) => level },
      { title: 'CHECK', text: ({ name }) => name },
      { title: 'DETAIL', text: ({ detail }) => detail },
      { title: 'MEND WITH', text: ({ fix, level }) => (level === 'ok' ? ' ' : (fix ?? '')) },
    ],
    checks,
  );
}
