// dmwg-agent: command line and exit codes.
import { Command, CommanderError, Option } from 'commander';
import { logLevels } from '#proto/codec/agent-config.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import { version } from '#proto/kit/version.ts';
import { takeDown } from './down.ts';
import { type AgentOptions, runAgent } from './run.ts';

interface Options {
  readonly stateDir?: string;
  readonly interfacePrefix?: string;
  readonly runDir?: string;
  readonly logLevel?: string;
}

function program(): Command {
  const command = new Command('dmwg-agent')
    .description('Runs this machine as a node of an overlay: its tunnels, routes and their liveness. Needs root.')
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  shared(command)
    .addOption(new Option('--log-level <level>', 'overrides agent.yaml').choices([...logLevels]))
    .addHelpText('after', '\nOn SIGTERM tunnels and routes stay. Take them away with `dmwg down`.')
    .action((options: Options) => runAgent(checked(options)));
  command
    .command('down')
    .description('Stops a running agent, and takes its tunnels and routes away.')
    .exitOverride()
    .action((_: unknown, inner: Command) => takeDown(checked(inner.optsWithGlobals<Options>())));
  return command;
}

function shared(command: Command): Command {
  return command
    .option('--state-dir <dir>', 'where `dmwg join` has written this node (required)')
    .option('--interface-prefix <prefix>', 'names of the tunnel interfaces start with it (default: dmwg)')
    .option('--run-dir <dir>', 'where the status socket goes (default: the state dir)');
}

function checked({ stateDir, ...options }: Options): AgentOptions {
  if (stateDir === undefined) throw new ProgramError('--state-dir DIR is needed (see --help)', 2);
  if (options.interfacePrefix !== undefined && !/^[a-z0-9]{1,10}$/.test(options.interfacePrefix)) {
    throw new ProgramError('--interface-prefix needs 1 to 10 lower-case letters and digits', 2);
  }
  if (process.getuid?.() !== 0) {
    throw new ProgramError('dmwg-agent changes network interfaces and routes: run it as root');
  }
  return { ...options, stateDir };
}

async function main(): Promise<number> {
  try {
    await program().parseAsync();
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      process.stderr.write(`${error.message.replace(/^error: /, 'dmwg-agent: ')} (see --help)\n`);
      return 2;
    }
    process.stderr.write(`dmwg-agent: ${errorText(error)}\n`);
    return error instanceof ProgramError ? error.exitCode : 1;
  }
}

void main().then((code) => process.exit(code));
