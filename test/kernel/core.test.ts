// The core scenarios once more, on the kernel's own WireGuard: they are the same files as in test/netns, unchanged. Where this
// kernel has no WireGuard they run in a virtual machine, started by a tool `vmrun` (run a command in a VM that sees this
// file system): $VMRUN, or one in PATH, or ../shared/tools/vmrun.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import test from 'node:test';

const root = resolve(import.meta.dirname, '../..');
/** An emulated machine is about 10 times slower than this one. */
const limitSeconds = 2000;

const scenarios = readdirSync(join(root, 'test/netns'))
  .filter((name) => /^core.*\.test\.ts$/.test(name))
  .map((name) => join('test/netns', name));

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function findVmrun(): string | undefined {
  const given = process.env['VMRUN'];
  if (given !== undefined && given !== '') return given;
  const inPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'vmrun'));
  return [...inPath, join(root, '../shared/tools/vmrun')].find(isExecutable);
}

/** Makes an interface of that kind in a namespace of its own, which goes with the command. */
function kernelHasWireGuard(): boolean {
  try {
    execFileSync('unshare', ['--net', 'ip', 'link', 'add', 'probe', 'type', 'wireguard'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function commandFor(): { readonly argv: readonly string[] } | { readonly obstacle: string } {
  const tests = ['node', '--import', 'tsx', 'test/run.mjs', '--', ...scenarios];
  if (scenarios.length === 0) return { obstacle: 'there is no test/netns/core*.test.ts' };
  if (kernelHasWireGuard()) return { argv: tests };
  const vmrun = findVmrun();
  if (vmrun === undefined) return { obstacle: 'this kernel has no WireGuard, and there is no vmrun in $VMRUN or PATH' };
  return { argv: [vmrun, '--mem', '3072', '--timeout', String(limitSeconds), '--dir', root, '--', ...tests] };
}

const command = commandFor();

test(`on kernel WireGuard: ${scenarios.join(' ')}`, {
  skip: 'obstacle' in command ? command.obstacle : false,
  timeout: (limitSeconds + 60) * 1000,
}, async (context) => {
  assert.ok('argv' in command);
  const [program = '', ...rest] = command.argv;
  // A run of node's test runner inside another one would report to it in its private format.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const child = spawn(program, rest, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  context.after(() => child.kill());
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => output.push(text));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  const report = output.join('').trimEnd();
  assert.equal(code, 0, `the tests failed on kernel WireGuard:\n${report}`);
  for (const line of report.split('\n')) context.diagnostic(line);
});
