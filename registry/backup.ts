// dmwg-registry backup: all that the overlay is, in one file.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { systemClock } from '#proto/kit/clock.ts';
import { errorText, ProgramError, systemCode } from '#proto/kit/errors.ts';
import { createLogger } from '#proto/kit/log.ts';
import { Secret } from '#proto/kit/secret.ts';
import { version } from '#proto/kit/version.ts';
import { readStateDir, type StateDir } from '#registry/serve/state-dir.ts';
import { type Backup, formatBackup, type StateFile } from '#registry/store/backup-file.ts';
import { readStore } from '#registry/store/copy.ts';
import { borrowEmbeddedEtcd } from '#registry/store/embedded-etcd.ts';
import { connectEtcd } from '#registry/store/etcd.ts';
import { reachEtcd } from './etcd-access.ts';
import { requireOwner } from './owner.ts';

export interface BackupOptions {
  readonly stateDir: string;
  readonly logLevel: string;
}

const always = ['registry.yaml', 'ca.key', 'ca.crt', 'registry.key', 'registry.crt'];
const maybe = ['admin.yaml'];

/** With the registry running or not. Throws ProgramError, and leaves no file then. */
export async function backup(file: string, options: BackupOptions): Promise<string> {
  const state = await readStateDir(resolve(options.stateDir));
  const files = await readFiles(state);
  const { overlay } = state.config;
  const place = {
    dir: state.path,
    urls: state.config.etcd,
    tls: state.config.etcdTls,
    log: createLogger('dmwg-registry', options.logLevel),
  };
  const reached = await reachEtcd(place, (own) => borrowEmbeddedEtcd(own, () => requireOwner(state.path)));
  const etcd = connectEtcd(reached.endpoints, reached.credentials);
  try {
    const copy = await readStore({ etcd, overlay, clock: systemClock });
    if (!copy.records.some(({ key }) => key === 'overlay')) {
      throw new ProgramError(
        `etcd has no overlay ${overlay}: its data was lost, or the registry has never run. There is nothing to back up`,
      );
    }
    const whole: Backup = { overlay, takenAt: systemClock.date(), madeBy: version, files, ...copy };
    await writeNew(resolve(file), formatBackup(whole));
    return summary(whole, file);
  } finally {
    etcd.close();
    await reached.stop();
  }
}

/** "12 nodes, 80 records of revision 345". */
export function contentOf({ records, revision }: Pick<Backup, 'records' | 'revision'>): string {
  const nodes = records.filter(({ key }) => key.startsWith('nodes/')).length;
  return `${String(nodes)} nodes, ${String(records.length)} records of revision ${revision}`;
}

function summary(whole: Backup, file: string): string {
  return `Overlay ${whole.overlay} is in ${file}: ${contentOf(whole)}. It contains the CA's private key: keep it as safe.`;
}

/** What lies outside of the state dir (credentials for etcd, perhaps) is not the overlay's. */
async function readFiles({ path, config }: StateDir): Promise<StateFile[]> {
  const { ca, certificate, key } = config.etcdTls ?? {};
  const credentials = [ca, certificate, key].flatMap((name) => {
    const inside = name === undefined ? '' : relative(path, resolve(path, name));
    return inside === '' || inside.startsWith(`..${sep}`) || inside.startsWith(sep) ? [] : [inside];
  });
  const files: StateFile[] = [];
  for (const name of new Set([...always, ...maybe, ...credentials])) {
    try {
      files.push({ name, content: new Secret(await readFile(join(path, name), 'utf8')) });
    } catch (error) {
      if (!maybe.includes(name) || systemCode(error) !== 'ENOENT') {
        throw new ProgramError(`${join(path, name)} cannot be read: ${errorText(error)}`);
      }
    }
  }
  return files;
}

async function writeNew(file: string, content: Secret<Buffer>): Promise<void> {
  try {
    await writeFile(file, content.reveal(), { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    if (systemCode(error) === 'EEXIST') throw new ProgramError(`${file} exists: name another file, or remove it first`);
    await rm(file, { force: true });
    throw new ProgramError(`cannot write ${file}: ${errorText(error)}`);
  }
}
