// Whether the programs that an agent needs are on this machine: told at the start, not at the first tunnel.
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import type { Role } from '#proto/model/names.ts';
import { packageOf } from './exec.ts';

const forAll = ['ip', 'wg', 'nft', 'setpriv'];
const forHubs = ['tcpdump'];

/** One line that names what is missing and the command that installs it; undefined if nothing is. */
export async function missingPrograms(role: Role, path: string): Promise<string | undefined> {
  const needed = role === 'hub' ? [...forAll, ...forHubs] : forAll;
  const missing: string[] = [];
  for (const program of needed) if (!(await isInstalled(program, path))) missing.push(program);
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((program) => packageOf(program)))];
  return `not installed: ${missing.join(', ')}; run \`apt-get install --no-install-recommends ${packages.join(' ')}\``;
}

async function isInstalled(program: string, path: string): Promise<boolean> {
  for (const dir of path.split(':')) {
    try {
      await access(join(dir, program), constants.X_OK);
      return true;
    } catch {
      // The next directory may have it.
    }
  }
  return false;
}
