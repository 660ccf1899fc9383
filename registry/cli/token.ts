import { type Command, Option } from 'commander';
import { parseAnnounced } from '#proto/model/address.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { parseDuration } from '#proto/model/time.ts';
import { collect, type FindOptions, findRegistry, requireAdmin, withFind } from './find.ts';
import { Faults, type Io } from './io.ts';
import { type OutputOptions, present, withOutput, withWatch } from './output.ts';
import { withRegistry } from './rpc.ts';
import { listTokens } from './show.ts';

interface CreateOptions extends FindOptions, OutputOptions {
  readonly role: string;
  readonly prefix: readonly string[];
  readonly shared?: boolean;
  readonly tag: readonly string[];
  readonly uses: string;
  readonly expires: string;
}

export function addToken(program: Command, io: Io): void {
  const token = program
    .command('token')
    .description('join tokens: create, list, revoke')
    .addHelpText('after', examples);
  const create = token.command('create').description('print a token that lets a machine join');
  withOutput(withFind(create))
    .addOption(new Option('--role <role>', 'what its machines become').choices(['spoke', 'hub']).default('spoke'))
    .option('--prefix <cidr>', 'what its machines may announce (repeat)', collect, [])
    .option('--shared', 'several of its machines, and others so allowed, may announce the same prefix')
    .option('--tag <tag>', 'a mark on its machines (repeat)', collect, [])
    .option('--uses <n>', 'how many machines may join with it', '1')
    .option('--expires <duration>', 'how long it is good', '24h')
    .action((options: CreateOptions) => createToken(io, options));
  withWatch(withFind(token.command('list').description('tokens that are still good'))).action(
    async (options: FindOptions & OutputOptions) => {
      const access = await findRegistry(io, options);
      requireAdmin(access, 'token list');
      await withRegistry(access, (registry) => present(io, options, () => listTokens(registry)));
    },
  );
  withFind(token.command('revoke').description('make a token worthless; machines that joined stay'))
    .argument('<id>', 'as `dmwg token list` shows it')
    .action(async (id: string, options: FindOptions) => {
      const access = await findRegistry(io, options);
      requireAdmin(access, 'token revoke');
      await withRegistry(access, (registry) => registry.ask(({ admin }) => admin.revokeToken.bind(admin), { id }));
      io.out(`Token ${id} is revoked.\n`);
    });
}

async function createToken(io: Io, options: CreateOptions): Promise<void> {
  const faults = new Faults();
  const prefixes = faults.takeAll('--prefix', options.prefix, parseAnnounced);
  const tags = faults.takeAll('--tag', options.tag, parseTag);
  const uses = faults.take('--uses', parseCount(options.uses));
  const expires = faults.take('--expires', parseDuration(options.expires));
  if (expires !== undefined && (expires < 1 || expires > 0xffff_ffff)) faults.add('--expires', 'must be at least 1s');
  if (faults.any || uses === undefined || expires === undefined) throw faults.error();
  const access = await findRegistry(io, options);
  requireAdmin(access, 'token create');
  const shared = options.shared === true;
  const request = { role: options.role, prefixes, tags, uses, expiresInSeconds: Math.round(expires), shared };
  const created = await withRegistry(access, (registry) =>
    registry.ask(({ admin }) => admin.createToken.bind(admin), request),
  );
  const expiresAt = new Date(Number(created.expiresMs)).toISOString();
  const data = { token: created.token, id: created.id, expires: expiresAt };
  await present(io, options, () => Promise.resolve({ data, table: () => `${created.token}\n` }));
}

function parseTag(text: string): Result<string> {
  return /^[A-Za-z0-9][A-Za-z0-9._:=/-]{0,62}$/.test(text)
    ? ok(text)
    : fail('bad-tag', `"${text.slice(0, 64)}" is not a tag: use 1 to 63 letters, digits and . _ : = / -`);
}

function parseCount(text: string): Result<number> {
  const value = Number(text);
  return /^\d{1,9}$/.test(text) && value >= 1
    ? ok(value)
    : fail('bad-count', `"${text.slice(0, 64)}" is not a number from 1 to 999999999`);
}

const examples = `
Examples:
  dmwg token create --role hub
  dmwg token create --prefix 192.168.7.0/24 --tag branch --uses 1 --expires 2h
  dmwg token create --prefix 192.168.7.0/24 --shared --uses 2     # two routers of one site
  dmwg token create -o json | jq -r .token > token && dmwg join @token --state-dir /var/lib/dmwg/node
`;
