import type { Command } from 'commander';
import { pause } from '#proto/kit/clock.ts';
import { ProgramError, usageError } from '#proto/kit/errors.ts';
import { parseDuration, toMilliseconds } from '#proto/model/time.ts';
import { type FindOptions, findRegistry, requireAdmin, withFind } from './find.ts';
import type { Io } from './io.ts';
import { type OutputOptions, present, withOutput } from './output.ts';
import { withRegistry } from './rpc.ts';

interface DrainOptions extends FindOptions, OutputOptions {
  readonly off?: boolean;
  readonly timeout: string;
}

const askEvery = 500;
const mostNames = 5;

/** Takes a hub out of service before it is stopped, and says when that is safe. */
export function addDrain(program: Command, io: Io): void {
  const command = program.command('drain').description('have spokes leave a hub, and say when it is safe to stop it');
  withOutput(withFind(command))
    .argument('<hub>', 'its name or id')
    .option('--off', 'take it into service again')
    .option('--timeout <duration>', 'how long to wait for the spokes', '2m')
    .addHelpText('after', '\nExamples:\n  dmwg drain hub1\n  dmwg drain hub1 --off\n')
    .action(async (hub: string, options: DrainOptions) => {
      const within = parseDuration(options.timeout);
      if (!within.ok) throw usageError(within.fault);
      const off = options.off === true;
      const access = await findRegistry(io, options);
      requireAdmin(access, 'drain');
      const ask = () =>
        withRegistry(access, (registry) => registry.ask(({ admin }) => admin.drainHub.bind(admin), { hub, off }));
      let answer = await ask();
      const until = performance.now() + toMilliseconds(within.value);
      const stop = io.interrupted();
      for (let said = ''; !off && answer.spokes.length > 0; answer = await ask()) {
        const waiting = `waiting for ${spokes(answer.spokes)} to leave ${answer.name}`;
        if (waiting !== said) io.err(`dmwg: ${waiting}\n`);
        said = waiting;
        if (stop.aborted || performance.now() >= until) throw notDrained(answer.name, answer.spokes);
        await pause(askEvery, stop);
      }
      const { id, name, draining } = answer;
      const line = off
        ? `Hub ${name} is in service.\n`
        : `Hub ${name} is drained: no spoke has a tunnel to it, and it is safe to stop. Back into service: dmwg drain ${name} --off\n`;
      await present(io, options, () =>
        Promise.resolve({ data: { id, name, draining, spokes: [] }, table: () => line }),
      );
    });
}

function notDrained(hub: string, names: readonly string[]): ProgramError {
  return new ProgramError(
    `${hub} is draining, but ${spokes(names)} ${names.length === 1 ? 'has' : 'have'} not left it: have they another hub that is up ` +
      `(dmwg show hubs)? Wait with dmwg drain ${hub}, or go back with dmwg drain ${hub} --off`,
  );
}

function spokes(names: readonly string[]): string {
  const shown = names.slice(0, mostNames).join(', ');
  const more = names.length > mostNames ? ` and ${String(names.length - mostNames)} more` : '';
  return `${String(names.length)} ${names.length === 1 ? 'spoke' : 'spokes'} (${shown}${more})`;
}
