// Configuration files: YAML in, checked values out, with every fault and its path in one message.
import { parseDocument, stringify } from 'yaml';
import * as z from 'zod';
import { parsePrefix, type Prefix } from '#proto/model/address.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { parseDuration, seconds, type Seconds } from '#proto/model/time.ts';
import { canonicalHostPort } from './host-port.ts';

/** "node.name: ...; registry[0]: ..." for all that is wrong. Unknown keys are wrong. */
export function parseYaml<T>(text: string, schema: z.ZodType<T>): Result<T> {
  const content = load(text);
  if (!content.ok) return content;
  const parsed = schema.safeParse(content.value);
  if (parsed.success) return ok(parsed.data);
  return fail('bad-config', parsed.error.issues.map(describe).join('; '));
}

/** Leaves out what is undefined. */
export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}

/** The document with another value at the top; undefined takes it away. Comments and everything else stay. */
export function withEntry(source: string, key: string, value: unknown): Result<string> {
  const content = load(source);
  if (!content.ok) return content;
  const document = parseDocument(source);
  if (value === undefined) document.delete(key);
  else document.set(key, value);
  return ok(document.toString({ lineWidth: 0 }));
}

/** A schema for text from one of our parsers. */
export function text<T>(parse: (text: string) => Result<T>) {
  return z.string().transform((value, context): T => {
    const parsed = parse(value);
    if (parsed.ok) return parsed.value;
    context.addIssue({ code: 'custom', message: parsed.fault.message });
    return z.NEVER;
  });
}

export const hostPort = text(canonicalHostPort);
export const prefix = text<Prefix>(parsePrefix);

/** "90s", "2h", or a number of seconds; whole seconds, from `least` to `most`. */
export function duration(least: number, most: number) {
  return z
    .union([z.number(), z.string()], 'is a duration such as 90s, 5m or 2h')
    .transform((value, context): Seconds => {
      const span = typeof value === 'number' ? ok(seconds(value)) : parseDuration(value);
      if (span.ok && Number.isInteger(span.value) && span.value >= least && span.value <= most) return span.value;
      const range = `is a duration from ${String(least)}s to ${String(most)}s`;
      context.addIssue({ code: 'custom', message: span.ok ? range : span.fault.message });
      return z.NEVER;
    });
}

function load(source: string): Result<unknown> {
  try {
    const document = parseDocument(source, { prettyErrors: true });
    const error = document.errors[0];
    if (error) return fail('bad-yaml', `not YAML: ${firstLine(error.message)}`);
    return ok(document.toJS({ maxAliasCount: 0 }) as unknown);
  } catch (error) {
    return fail('bad-yaml', `not YAML: ${firstLine(error instanceof Error ? error.message : String(error))}`);
  }
}

function describe(issue: z.core.$ZodIssue): string {
  const path = issue.path.map((key) => (typeof key === 'number' ? `[${String(key)}]` : `.${String(key)}`)).join('');
  const where = path.replace(/^\./, '') || 'the file';
  if (issue.code === 'unrecognized_keys') return `${where}: unknown key ${issue.keys.join(', ')}`;
  if (issue.code === 'invalid_type' && issue.input === undefined) return `${where}: is missing`;
  return `${where}: ${issue.message}`;
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0]?.replace(/:$/, '') ?? '';
}
