import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createCsr, derOf, issueCertificate, parseIdentity, pemOf } from '#proto/kit/certificate.ts';
import { Secret } from '#proto/kit/secret.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';
import type { Finished } from './process.ts';

/** A command line of each program that lacks nothing. */
export const complete = [
  ['dmwg', 'status'],
  ['dmwg-agent', '--state-dir', '/nonexistent'],
  ['dmwg-registry', '--state-dir', '/nonexistent'],
] as const;

/** Exit status 1 or 2 and one line on stderr that says this. */
export function assertRefused(done: Finished, code: 1 | 2, says: RegExp): void {
  const said = JSON.stringify(done);
  assert.equal(done.code, code, said);
  const lines = done.stderr
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('{'));
  assert.equal(lines.length, 1, `one line: ${said}`);
  assert.match(lines[0] ?? '', says);
  assert.doesNotMatch(done.stderr + done.stdout, /^\s+at /m, 'no stack trace');
}

/** A directory with links to every program of this machine but those. */
export async function pathWithout(directory: string, missing: readonly string[]): Promise<string> {
  await mkdir(directory, { recursive: true });
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  for (const folder of folders) {
    for (const name of await readdir(folder).catch(() => [])) {
      if (!missing.includes(name)) await symlink(join(folder, name), join(directory, name)).catch(() => undefined);
    }
  }
  return directory;
}

/** The node's certificate as it would be a year after its end. */
export async function expiredCertificate(registryDir: string, nodeDir: string): Promise<string> {
  const read = (dir: string, name: string): Promise<string> => readFile(join(dir, name), 'utf8');
  const key = new Secret(await read(nodeDir, 'node.key'));
  const issued = must(
    await issueCertificate({
      ca: await read(registryDir, 'ca.crt'),
      caKey: new Secret(await read(registryDir, 'ca.key')),
      csr: (await createCsr('first', key)).csr,
      identity: must(parseIdentity(derOf(await read(nodeDir, 'node.crt')))),
      name: 'first',
      validity: seconds(86_400),
      usage: 'client',
      now: (Date.now() - 365 * 86_400_000) as Timestamp,
    }),
  );
  return pemOf(issued.certificate);
}
