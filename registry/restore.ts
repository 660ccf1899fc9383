// dmwg-registry restore: a backup becomes the state of a registry again, on this or another machine, in this or another etcd. What is
// there is never overwritten. Interrupted, it is run again.
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parseRegistryConfig, type RegistryConfig } from '#proto/codec/registry-config.ts';
import { withEntry } from '#proto/codec/yaml-file.ts';
import { writeFileAtomic } from '#proto/kit/atomic-file.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { errorText, ProgramError, systemCode } from '#proto/kit/errors.ts';
import { createLogger } from '#proto/kit/log.ts';
import { type Backup, parseBackup } from '#registry/store/backup-file.ts';
import {
  type CopyPorts,
  findStore,
  forAnotherEtcd,
  missingRecords,
  writeRecords,
  writeTold,
} from '#registry/store/copy.ts';
import { startEmbeddedEtcd } from '#registry/store/embedded-etcd.ts';
import { connectEtcd } from '#registry/store/etcd.ts';
import { contentOf } from './backup.ts';
import { reachEtcd } from './etcd-access.ts';
import { requireOwner } from './owner.ts';

export interface RestoreOptions {
  readonly stateDir: string;
  /** Of the cluster to restore into; none: as registry.yaml says. */
  readonly etcd: readonly string[];
  readonly logLevel: string;
}

const configFile = 'registry.yaml';
const readable = ['ca.crt', 'registry.crt'];

/** Throws ProgramError. */
export async function restore(file: string, options: RestoreOptions): Promise<string> {
  const saved = await readBackup(resolve(file));
  const dir = resolve(options.stateDir);
  await requireOwner(dir);
  await requireSameOverlay(dir, saved);
  const { text, config } = await configOf(dir, saved, options.etcd);
  await mkdir(dirname(dir), { recursive: true, mode: 0o755 });
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  // The files that lead to etcd first; registry.yaml last: without it no registry starts here.
  await writeFiles(dir, saved);
  await writeStore(saved, { dir, config, logLevel: options.logLevel });
  if (text !== (await readIfThere(join(dir, configFile)))) await writeFileAtomic(join(dir, configFile), text, 0o600);
  const where = config.etcd.length > 0 ? config.etcd.join(', ') : `${dir}/etcd`;
  return `Overlay ${saved.overlay} is restored in ${dir} and in etcd at ${where}: ${contentOf(saved)}. Start the registry: dmwg-registry --state-dir ${dir}`;
}

async function writeStore(
  saved: Backup,
  { dir, config, logLevel }: { readonly dir: string; readonly config: RegistryConfig; readonly logLevel: string },
): Promise<void> {
  const place = { dir, urls: config.etcd, tls: config.etcdTls, log: createLogger('dmwg-registry', logLevel) };
  const reached = await reachEtcd(place, startEmbeddedEtcd);
  const etcd = connectEtcd(reached.endpoints, reached.credentials);
  const ports: CopyPorts = { etcd, overlay: saved.overlay, clock: systemClock };
  try {
    const found = await findStore(ports);
    const missing = missingRecords(found, forAnotherEtcd(saved.records));
    if (!missing.ok) {
      throw new ProgramError(
        `etcd at ${reached.endpoints.join(', ')} is in use for overlay ${saved.overlay}: ${missing.fault.message}. Nothing was changed there`,
      );
    }
    await writeTold(ports, saved.told);
    await writeRecords(ports, found, missing.value);
  } finally {
    etcd.close();
    await reached.stop();
  }
}

async function readBackup(file: string): Promise<Backup> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (error) {
    throw new ProgramError(`${file} cannot be read: ${errorText(error)}`);
  }
  const saved = parseBackup(content);
  if (!saved.ok) throw new ProgramError(`${file} ${saved.fault.message}`);
  return saved.value;
}

/** A state dir with another CA is another overlay's, whatever its name. */
async function requireSameOverlay(dir: string, saved: Backup): Promise<void> {
  if ((await readIfThere(join(dir, 'agent.yaml'))) !== undefined) {
    throw new ProgramError(`${dir} is the state dir of a node; choose another --state-dir`);
  }
  const own = await readIfThere(join(dir, 'ca.crt'));
  if (own === undefined || own === contentFor(saved, 'ca.crt')) return;
  throw new ProgramError(
    `${dir} is the state dir of another overlay: its CA is not the backup's. Choose another --state-dir`,
  );
}

/** That of the state dir, which may have been changed since, before that of the backup. */
async function configOf(
  dir: string,
  saved: Backup,
  etcd: readonly string[],
): Promise<{ readonly text: string; readonly config: RegistryConfig }> {
  const found = (await readIfThere(join(dir, configFile))) ?? contentFor(saved, configFile) ?? '';
  const text = etcd.length > 0 ? withEntry(found, 'etcd', etcd) : ({ ok: true, value: found } as const);
  if (!text.ok) throw new ProgramError(`${configFile}: ${text.fault.message}`);
  const config = parseRegistryConfig(text.value);
  if (!config.ok) throw new ProgramError(`${configFile}: ${config.fault.message}`);
  if (config.value.overlay !== saved.overlay) {
    throw new ProgramError(
      `${join(dir, configFile)} is of overlay ${config.value.overlay}, the backup of ${saved.overlay}`,
    );
  }
  return { text: text.value, config: config.value };
}

/** A file that is there stays. */
async function writeFiles(dir: string, saved: Backup): Promise<void> {
  for (const { name, content } of saved.files) {
    const path = join(dir, name);
    if (name === configFile || (await readIfThere(path)) !== undefined) continue;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFileAtomic(path, content.reveal(), readable.includes(name) ? 0o644 : 0o600);
  }
}

function contentFor(saved: Backup, name: string): string | undefined {
  return saved.files.find((each) => each.name === name)?.content.reveal();
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    throw new ProgramError(`${file} cannot be read: ${errorText(error)}`);
  }
}
