import { errorText } from '#proto/kit/errors.ts';
import { ExecError, type IpProgram, type Run } from '#agent/io/host-port.ts';

/** What a line of a batch came to: undefined = done. */
export type Outcome = string | undefined;

/** Runs lines in one `ip`. Every line is tried, whatever becomes of the others. `options`: such as "-6". */
export async function runIpBatch(
  run: Run,
  lines: readonly string[],
  options: readonly string[] = [],
): Promise<Outcome[]> {
  if (lines.length === 0) return [];
  try {
    await run('ip', [...options, '-force', '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
    return lines.map(() => undefined);
  } catch (error) {
    const failures = error instanceof ExecError ? parseBatchErrors(error.stderr) : new Map<number, string>();
    if (failures.size === 0) return lines.map(() => errorText(error));
    return lines.map((_, index) => failures.get(index + 1));
  }
}

/** The same by an `ip` that is there already, and what fails there once more by a new one, which knows all interfaces. */
export async function runInProgram(ip: IpProgram, run: Run, lines: readonly string[]): Promise<Outcome[]> {
  if (lines.length === 0) return [];
  const done = await ip.run(lines);
  if (!done) return runIpBatch(run, lines);
  const failures = parseBatchErrors(done.stderr);
  const failed = lines.filter((_, index) => failures.has(done.first + index));
  if (failed.length === 0) return lines.map(() => undefined);
  ip.forget();
  const again = (await runIpBatch(run, failed)).values();
  return lines.map((_, index) => (failures.has(done.first + index) ? again.next().value : undefined));
}

/** By line number: ip prints what it has to say about a line, then "Command failed -:LINE". */
export function parseBatchErrors(stderr: string): Map<number, string> {
  const failures = new Map<number, string>();
  let said: string[] = [];
  for (const line of stderr.split('\n')) {
    const failed = /^Command failed -:(\d+)/.exec(line);
    if (!failed) said.push(line.trim());
    else {
      failures.set(Number(failed[1]), said.filter((words) => words !== '').join(' ') || 'failed');
      said = [];
    }
  }
  return failures;
}
