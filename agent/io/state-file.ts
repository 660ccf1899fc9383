// One value in one JSON file, with a version: what the agent knew when it last ran.
import { readFile, rename } from 'node:fs/promises';
import { writeFileAtomic } from '#proto/kit/atomic-file.ts';
import { errorText, systemCode } from '#proto/kit/errors.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Milliseconds } from '#proto/model/time.ts';

export interface StateFormat<T> {
  readonly version: number;
  /** From what JSON.parse gave. */
  parse(content: unknown): Result<T>;
  /** Into what JSON.stringify takes. */
  format(state: T): unknown;
}

/** Undefined when there is no file. Faults: "corrupt-state", "unknown-version". Throws other I/O errors. */
export async function readState<T>(file: string, format: StateFormat<T>): Promise<Result<T | undefined>> {
  const text = await readIfThere(file);
  if (text === undefined) return ok(undefined);
  const content = parseJson(text);
  if (!content.ok) return fail('corrupt-state', `${file}: ${content.fault.message}`);
  const stored = content.value;
  if (typeof stored !== 'object' || stored === null || !('version' in stored) || !('state' in stored)) {
    return fail('corrupt-state', `${file} is not a state file`);
  }
  if (stored.version !== format.version) {
    return fail(
      'unknown-version',
      `${file} has version ${JSON.stringify(stored.version)}; known is ${String(format.version)}`,
    );
  }
  const parsed = format.parse(stored.state);
  return parsed.ok ? parsed : fail('corrupt-state', `${file}: ${parsed.fault.message}`);
}

export async function writeState<T>(file: string, format: StateFormat<T>, state: T): Promise<void> {
  await writeFileAtomic(file, serialise(format, state));
}

/** Keeps a file that could not be read for a look at it, and makes room. Returns its new name. */
export async function moveAside(file: string): Promise<string> {
  const aside = `${file}.bad`;
  await rename(file, aside);
  return aside;
}

export interface StateWriter<T> {
  /** Takes the newest state; it is on disk some time later. */
  put(state: T): void;
  /** Resolves when the newest state is on disk, or could not be written. */
  flush(): Promise<void>;
}

export interface StateWriterOptions<T> {
  readonly file: string;
  readonly format: StateFormat<T>;
  /** What comes within this time is written once. */
  readonly delay: Milliseconds;
  readonly onError: (error: unknown) => void;
}

/** Writes one at a time, always the newest, and nothing that is on disk already. */
export function createStateWriter<T>(options: StateWriterOptions<T>): StateWriter<T> {
  let next: { readonly state: T } | undefined;
  let written: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  async function writeNext(): Promise<void> {
    if (!next) return;
    const { state } = next;
    next = undefined;
    try {
      const text = serialise(options.format, state);
      if (text === written) return;
      await writeFileAtomic(options.file, text);
      written = text;
    } catch (error) {
      options.onError(error);
    }
  }

  function start(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(writeNext);
    return writing;
  }

  return {
    put(state) {
      next = { state };
      timer ??= setTimeout(() => void start(), options.delay);
    },
    flush: start,
  };
}

function serialise<T>(format: StateFormat<T>, state: T): string {
  return `${JSON.stringify({ version: format.version, state: format.format(state) })}\n`;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function parseJson(text: string): Result<unknown> {
  try {
    return ok(JSON.parse(text) as unknown);
  } catch (error) {
    return fail('bad-json', errorText(error));
  }
}
