import type { Command } from 'commander';
import { parseHostPort } from '#proto/codec/host-port.ts';
import { pause } from '#proto/kit/clock.ts';
import { ProgramError, usageError } from '#proto/kit/errors.ts';
import { parseDuration, toMilliseconds } from '#proto/model/time.ts';
import { type FindOptions, findRegistry, findReplica, requireAdmin, withFind } from './find.ts';
import type { Io } from './io.ts';
import { type OutputOptions, present, withOutput } from './output.ts';
import { withRegistry } from './rpc.ts';

interface DrainOptions extends FindOptions, OutputOptions {
  readonly off?: boolean;
  readonly timeout: string;
}

/** What is being drained, as it is now. */
interface Drained {
  readonly title: string;
  /** Who is still there, in words; undefined: nobody. */
  readonly waiting: string | undefined;
  /** Why somebody may stay. */
  readonly hint: string;
  readonly data: object;
}

const askEvery = 500;
const mostNames = 5;
const examples = `
Examples:
  dmwg drain hub1
  dmwg drain r1.example.net:7443
  dmwg drain hub1 --off
`;

/** Takes a hub or a replica of the registry out of service before it is stopped, and says when that is safe. */
export function addDrain(program: Command, io: Io): void {
  const command = program
    .command('drain')
    .description('have everybody leave a hub or a replica of the registry, and say when it is safe to stop it');
  withOutput(withFind(command))
    .argument('<what>', 'the name or id of a hub, or the address HOST:PORT of a replica')
    .option('--off', 'take it into service again')
    .option('--timeout <duration>', 'how long to wait for those who are there', '2m')
    .addHelpText('after', examples)
    .action(async (what: string, options: DrainOptions) => {
      const within = parseDuration(options.timeout);
      if (!within.ok) throw usageError(within.fault);
      const off = options.off === true;
      const ask = what.includes(':') ? await replica(io, what, options) : await hub(io, what, options);
      let now = await ask();
      const until = performance.now() + toMilliseconds(within.value);
      const stop = io.interrupted();
      for (let said = ''; !off && now.waiting !== undefined; now = await ask()) {
        const line = `waiting for ${now.waiting} to leave ${now.title}`;
        if (line !== said) io.err(`dmwg: ${line}\n`);
        said = line;
        if (stop.aborted || performance.now() >= until) throw notDrained(what, now, now.waiting);
        await pause(askEvery, stop);
      }
      const line = off
        ? `${now.title} is in service.\n`
        : `${now.title} is drained: nobody uses it, and it is safe to stop. Back into service: dmwg drain ${what} --off\n`;
      await present(io, options, () => Promise.resolve({ data: now.data, table: () => line }));
    });
}

async function hub(io: Io, name: string, options: DrainOptions): Promise<() => Promise<Drained>> {
  const request = { hub: name, off: options.off === true };
  const access = await findRegistry(io, options);
  requireAdmin(access, 'drain');
  return async () => {
    const answer = await withRegistry(access, (registry) =>
      registry.ask(({ admin }) => admin.drainHub.bind(admin), request),
    );
    const { spokes } = answer;
    const shown = spokes.slice(0, mostNames).join(', ');
    const more = spokes.length > mostNames ? ` and ${String(spokes.length - mostNames)} more` : '';
    return {
      title: `hub ${answer.name}`,
      waiting: spokes.length > 0 ? `${count(spokes.length, 'spoke')} (${shown}${more})` : undefined,
      hint: 'have they another hub that is up (dmwg show hubs)?',
      data: answer,
    };
  };
}

async function replica(io: Io, address: string, options: DrainOptions): Promise<() => Promise<Drained>> {
  const parsed = parseHostPort(address);
  if (!parsed.ok) throw usageError(parsed.fault);
  const request = { off: options.off === true };
  const access = await findReplica(io, options, address);
  requireAdmin(access, 'drain');
  return async () => {
    const answer = await withRegistry(access, (registry) =>
      registry.ask(({ admin }) => admin.drainReplica.bind(admin), request),
    );
    const { sessions } = answer;
    return {
      title: `replica ${address}`,
      waiting: sessions > 0 ? count(sessions, 'node') : undefined,
      hint: 'do they reach another replica?',
      data: answer,
    };
  };
}

function notDrained(what: string, { title, hint }: Drained, waiting: string): ProgramError {
  return new ProgramError(
    `${title} is draining, but not left yet by ${waiting}: ${hint} Wait with dmwg drain ${what}, or go back with dmwg drain ${what} --off`,
  );
}

function count(number: number, what: string): string {
  return `${String(number)} ${what}${number === 1 ? '' : 's'}`;
}
