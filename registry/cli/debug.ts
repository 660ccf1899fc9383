import { type Command, Option } from 'commander';
import { decodeNhrp } from '#proto/codec/nhrp.ts';
import { Direction, type FollowNhrpResponse } from '#proto/gen/dmwg/v1/admin.ts';
import { ProgramError } from '#proto/kit/errors.ts';
import { type FindOptions, findRegistry, requireAdmin, withFind } from './find.ts';
import type { Io } from './io.ts';
import { messageLine, messageView } from './nhrp-line.ts';
import { withRegistry } from './rpc.ts';

type DebugOptions = FindOptions & { readonly node?: string; readonly output: 'text' | 'json' };

export function addDebug(program: Command, io: Io): void {
  const debug = program.command('debug').description('follow what happens, until interrupted');
  withFind(debug.command('nhrp').description('NHRP messages as the registry receives and sends them, one line each'))
    .option('--node <node>', "one node's only: name or id")
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .addHelpText('after', '\nExamples:\n  dmwg debug nhrp\n  dmwg debug nhrp --node spoke7 -o json | jq .type\n')
    .action(async (options: DebugOptions) => {
      const access = await findRegistry(io, options);
      requireAdmin(access, 'debug nhrp');
      const signal = io.interrupted();
      await withRegistry(access, (registry) =>
        registry.follow(
          ({ admin }) => admin.followNhrp.bind(admin),
          { node: options.node ?? '' },
          {
            signal,
            onBegin: () => {
              io.err('Following NHRP messages; interrupt to end.\n');
            },
            onAnswer: (answer) => {
              io.out(answerText(answer, options.output));
            },
          },
        ),
      );
    });
}

function answerText(answer: FollowNhrpResponse, output: DebugOptions['output']): string {
  const message = answer.message && decodeNhrp(answer.message);
  if (!message?.ok) {
    throw new ProgramError('the registry sent a message that is not understood; dmwg must be of its version');
  }
  const view = messageView({
    time: new Date(Number(answer.timeMs)).toISOString(),
    direction: answer.direction === Direction.DIRECTION_SENT ? 'sent' : 'received',
    node: answer.node,
    message: message.value,
  });
  const dropped = Number(answer.dropped);
  if (output === 'json') return `${JSON.stringify({ ...view, dropped })}\n`;
  const lost = dropped === 0 ? '' : `... ${String(dropped)} more, which were dropped: they came too fast\n`;
  return lost + messageLine(view);
}
