import type { Command } from 'commander';
import { Option } from 'commander';
import { stringify } from 'yaml';
import { pause } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Io } from './io.ts';

/** Layouts of routers besides our own: Cisco IOS and FRR. */
export type Format = 'table' | 'json' | 'yaml' | 'cisco' | 'frr';

export interface OutputOptions {
  readonly output: Format;
  readonly watch?: boolean;
}

export interface LayoutOptions extends OutputOptions {
  readonly format?: 'cisco' | 'frr' | 'json';
}

/** One answer: for scripts as data, for people as text. */
export interface View {
  readonly data: unknown;
  readonly table: () => string;
  readonly cisco?: () => string;
  readonly frr?: () => string;
}

export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to print').choices(['table', 'json', 'yaml']).default('table'),
  );
}

export function withWatch(command: Command): Command {
  return withOutput(command).option('-w, --watch', 'print again each second until interrupted');
}

/** For what routers show too. */
export function withLayout(command: Command): Command {
  return command.addOption(
    new Option('--format <layout>', 'laid out as on a router, or JSON')
      .choices(['cisco', 'frr', 'json'])
      .conflicts('output'),
  );
}

/** `--format` says more than `-o`. */
export function laidOut(options: LayoutOptions): OutputOptions {
  return { ...options, output: options.format ?? options.output };
}

export function render(view: View, format: Format): string {
  if (format === 'json') return `${JSON.stringify(view.data, undefined, 2)}\n`;
  if (format === 'yaml') return stringify(view.data);
  return textOf(view, format);
}

function textOf(view: View, format: Exclude<Format, 'json' | 'yaml'>): string {
  return (format === 'table' ? undefined : view[format]?.()) ?? view.table();
}

/** Prints what `fetch` gives, once or each second. While watching, a failure is shown and tried again. */
export async function present(io: Io, options: OutputOptions, fetch: () => Promise<View>): Promise<void> {
  if (options.watch !== true) {
    io.out(render(await fetch(), options.output));
    return;
  }
  const stop = io.interrupted();
  while (!stop.aborted) {
    const page = await watchPage(options.output, fetch);
    io.out(io.terminal && options.output !== 'json' && options.output !== 'yaml' ? `\u001b[H\u001b[2J${page}` : page);
    await pause(1000, stop);
  }
}

async function watchPage(format: Format, fetch: () => Promise<View>): Promise<string> {
  try {
    const view = await fetch();
    // One line a document, so that a reader sees where each ends.
    if (format === 'json') return `${JSON.stringify(view.data)}\n`;
    if (format === 'yaml') return `---\n${stringify(view.data)}`;
    return `${textOf(view, format)}\n`;
  } catch (error) {
    if (format === 'json') return `${JSON.stringify({ error: errorText(error) })}\n`;
    if (format === 'yaml') return `---\n${stringify({ error: errorText(error) })}`;
    return `${errorText(error)}\n\n`;
  }
}
