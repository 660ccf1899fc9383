import type { Command } from 'commander';
import { ProgramError, usageError } from '#proto/kit/errors.ts';
import { parseAddress } from '#proto/model/address.ts';
import { type FindOptions, findRegistry, requireAdmin, withFind } from './find.ts';
import type { Io } from './io.ts';
import { type OutputOptions, present, withOutput, withWatch } from './output.ts';
import { withRegistry } from './rpc.ts';
import { overlay } from './show.ts';
import { overlayTable } from './show-tables.ts';
import { overlayView } from './views.ts';

/** What changes the overlay: clear, revoke, overlay set, hub set. */
export function addOrders(program: Command, io: Io): void {
  addClear(program, io);
  addRevoke(program, io);
  addOverlay(program, io);
  addHub(program, io);
}

function addClear(program: Command, io: Io): void {
  const clear = program.command('clear').description('forget what was learned, so that it is resolved anew');
  withOutput(withFind(clear.command('nhrp').description('purge the binding that covers an address, or all')))
    .argument('[address]', 'an address that the binding covers')
    .option('--all', 'all dynamic bindings')
    .addHelpText('after', '\nExamples:\n  dmwg clear nhrp 192.168.7.20\n  dmwg clear nhrp --all\n')
    .action(async (text: string | undefined, options: FindOptions & OutputOptions & { readonly all?: boolean }) => {
      const all = options.all === true;
      if (all === (text !== undefined)) throw new ProgramError('clear nhrp takes either an ADDRESS or --all', 2);
      const parsed = text === undefined ? undefined : parseAddress(text);
      if (parsed && !parsed.ok) throw usageError(parsed.fault);
      const request = { address: parsed?.value ?? '', all };
      const access = await findRegistry(io, options);
      requireAdmin(access, 'clear nhrp');
      const { cleared } = await withRegistry(access, (registry) =>
        registry.ask(({ admin }) => admin.clear.bind(admin), request),
      );
      const line = `${String(cleared)} ${cleared === 1 ? 'binding' : 'bindings'} cleared.\n`;
      await present(io, options, () => Promise.resolve({ data: { cleared }, table: () => line }));
    });
}

function addRevoke(program: Command, io: Io): void {
  withOutput(withFind(program.command('revoke').description('shut a node out at once and free what it held')))
    .argument('<node>', 'its name or id')
    .addHelpText('after', '\nExamples:\n  dmwg revoke laptop7\n')
    .action(async (node: string, options: FindOptions & OutputOptions) => {
      const access = await findRegistry(io, options);
      requireAdmin(access, 'revoke');
      const { id, name } = await withRegistry(access, (registry) =>
        registry.ask(({ admin }) => admin.revokeNode.bind(admin), { node }),
      );
      const line = `Node ${name} (${id}) is revoked.\n`;
      await present(io, options, () => Promise.resolve({ data: { id, name }, table: () => line }));
    });
}

function addOverlay(program: Command, io: Io): void {
  const command = program.command('overlay').description("the overlay's settings: show, set");
  withWatch(withFind(command.command('show').description('print the settings'))).action(
    async (options: FindOptions & OutputOptions) => {
      const access = await findRegistry(io, options);
      await withRegistry(access, (registry) =>
        present(io, options, async () => {
          const data = await overlay(registry);
          return { data, table: () => overlayTable(data) };
        }),
      );
    },
  );
  withOutput(withFind(command.command('set').description('change one setting; agents follow at once')))
    .argument('<key>', 'as `dmwg overlay show` names it')
    .argument('<value>', 'a list is written with commas')
    .addHelpText(
      'after',
      '\nExamples:\n  dmwg overlay set phase 3\n  dmwg overlay set summaries 10.0.0.0/8,fd00::/16\n  dmwg overlay set bfdIntervalMs 100\n',
    )
    .action(async (key: string, value: string, options: FindOptions & OutputOptions) => {
      const access = await findRegistry(io, options);
      requireAdmin(access, 'overlay set');
      const answer = await withRegistry(access, (registry) =>
        registry.ask(({ admin }) => admin.setOverlay.bind(admin), { key, value }),
      );
      if (!answer.overlay) throw new Error('the registry sent no overlay');
      const data = overlayView(answer.overlay);
      await present(io, options, () => Promise.resolve({ data, table: () => overlayTable(data) }));
    });
}

function addHub(program: Command, io: Io): void {
  const command = program.command('hub').description('how spokes choose among hubs: set');
  withOutput(withFind(command.command('set').description('change one property of a hub; spokes follow at once')))
    .argument('<hub>', 'its name or id')
    .argument('<key>', 'priority (0 best, 255 worst) or cluster (0 to 255)')
    .argument('<value>', 'a number')
    .addHelpText('after', '\nExamples:\n  dmwg hub set hub2 priority 10\n  dmwg hub set hub3 cluster 1\n')
    .action(async (hub: string, key: string, value: string, options: FindOptions & OutputOptions) => {
      const access = await findRegistry(io, options);
      requireAdmin(access, 'hub set');
      const { id, name, priority, cluster } = await withRegistry(access, (registry) =>
        registry.ask(({ admin }) => admin.setHub.bind(admin), { hub, key, value }),
      );
      const line = `Hub ${name} has priority ${String(priority)} in cluster ${String(cluster)}.\n`;
      await present(io, options, () => Promise.resolve({ data: { id, name, priority, cluster }, table: () => line }));
    });
}
