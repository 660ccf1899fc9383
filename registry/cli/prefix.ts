import type { Command } from 'commander';
import { ProgramError, usageError } from '#proto/kit/errors.ts';
import { containsPrefix, lengthOf, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { parsePrefixRule } from '#proto/model/prefix-list.ts';
import { type FindOptions, findRegistry, requireAdmin, withFind } from './find.ts';
import type { Io } from './io.ts';
import { type OutputOptions, present, withOutput, withWatch } from './output.ts';
import { withRegistry } from './rpc.ts';
import { nodes } from './show.ts';
import { routeTable } from './show-tables.ts';
import { formatTable } from './table.ts';
import { routeView } from './views.ts';

interface RuleOptions extends FindOptions, OutputOptions {
  readonly ge?: string;
  readonly le?: string;
  readonly shared?: boolean;
}

const actions = {
  allow: 'let a node announce a prefix',
  deny: 'keep a node from announcing a prefix, whatever its token allowed',
  remove: 'forget a rule of either kind',
} as const;

/** What nodes may announce, and why a prefix leads where it does. */
export function addPrefix(program: Command, io: Io): void {
  const command = program.command('prefix').description('what nodes may announce: allow, deny, remove, list');
  for (const action of ['allow', 'deny', 'remove'] as const) addRule(command, io, action);
  withWatch(withFind(command.command('list').description('the rules of all nodes, or of one')))
    .argument('[node]', 'its name or id')
    .action(async (node: string | undefined, options: FindOptions & OutputOptions) => {
      const access = await findRegistry(io, options);
      await withRegistry(access, (registry) =>
        present(io, options, async () => {
          const all = await nodes(registry);
          const shown = all.filter(({ id, name }) => node === undefined || node === id || node === name);
          const data = shown.flatMap(({ name, policy }) => policy.map((rule) => ({ node: name, rule })));
          return { data, table: () => ruleTable(data) };
        }),
      );
    });
  addWhy(program, io);
}

function addRule(command: Command, io: Io, action: keyof typeof actions): void {
  const own = withOutput(withFind(command.command(action).description(actions[action])))
    .argument('<node>', 'its name or id')
    .argument('<prefix>', 'without --ge and --le, exactly this prefix')
    .option('--ge <bits>', 'prefixes inside it, of this length or longer')
    .option('--le <bits>', 'prefixes inside it, of this length or shorter');
  if (action === 'allow') own.option('--shared', 'other nodes with such a rule may announce the same prefix');
  own.action(async (node: string, prefix: string, options: RuleOptions) => {
    const ge = options.ge === undefined ? '' : ` ge ${options.ge}`;
    const le = options.le === undefined ? '' : ` le ${options.le}`;
    const rule = `${prefix}${ge}${le}`;
    const parsed = parsePrefixRule(rule);
    if (!parsed.ok) throw usageError(parsed.fault);
    const access = await findRegistry(io, options);
    requireAdmin(access, `prefix ${action}`);
    const { id, name, policy } = await withRegistry(access, (registry) =>
      registry.ask(({ admin }) => admin.setPrefixRule.bind(admin), {
        node,
        action,
        rule,
        shared: options.shared === true,
      }),
    );
    const table = (): string => ruleTable(policy.map((text) => ({ node: name, rule: text })));
    await present(io, options, () => Promise.resolve({ data: { id, name, policy }, table }));
  });
}

function ruleTable(rules: readonly { readonly node: string; readonly rule: string }[]): string {
  return formatTable(
    [
      { title: 'NODE', text: ({ node }) => node },
      { title: 'RULE', text: ({ rule }) => rule },
    ],
    rules,
  );
}

/** The routes that decide about a prefix or an address: the longest one around it, or, with none, nothing. */
function addWhy(program: Command, io: Io): void {
  withOutput(
    withFind(program.command('why').description('who could have a prefix or an address, and which rule chose')),
  )
    .argument('<prefix>', 'a prefix or an address')
    .addHelpText('after', '\nExamples:\n  dmwg why 192.168.7.0/24\n  dmwg why 192.168.7.20\n')
    .action(async (text: string, options: FindOptions & OutputOptions) => {
      const wanted = parsePrefix(text);
      if (!wanted.ok) throw usageError(wanted.fault);
      const access = await findRegistry(io, options);
      const answer = await withRegistry(access, (registry) =>
        registry.ask(({ query }) => query.listRoutes.bind(query), {}),
      );
      const around = answer.routes.filter(({ prefix }) => containsPrefix(prefix as Prefix, wanted.value));
      const isRefused = ({ state }: { readonly state: string }): boolean => state === 'rejected' || state === 'damped';
      const accepted = around.filter((route) => !isRefused(route));
      const longest = Math.max(...accepted.map(({ prefix }) => lengthOf(prefix as Prefix)));
      const shown = around.filter((route) => lengthOf(route.prefix as Prefix) === longest || isRefused(route));
      if (shown.length === 0) throw new ProgramError(`nobody announces anything around ${wanted.value}`, 1);
      const data = shown.map(routeView);
      await present(io, options, () => Promise.resolve({ data, table: () => routeTable(data) }));
    });
}
