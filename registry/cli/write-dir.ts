import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ProgramError, systemCode } from '#proto/kit/errors.ts';
import type { Secret } from '#proto/kit/secret.ts';

/** A file of a state dir, with mode 0600; the directory has 0700. */
export interface StateFile {
  readonly name: string;
  readonly content: string | Secret;
}

/**
 * Writes a state dir so that it is there whole or not at all: built beside and renamed. A directory that already has other
 * content, or is a mount point, is filled file by file; the last file is the one that programs look for, so it completes.
 */
export async function writeStateDir(dir: string, files: readonly StateFile[]): Promise<void> {
  try {
    await mkdir(dirname(dir), { recursive: true, mode: 0o755 });
    if (await isEmptyOrAbsent(dir)) {
      if (await writeBeside(dir, files)) return;
    }
    await writeInto(dir, files);
  } catch (error) {
    throw translate(error, dir);
  }
}

/** Throws ProgramError if nothing can be written there, so that nothing is asked of the registry in vain. */
export async function checkWritable(dir: string): Promise<void> {
  try {
    await mkdir(dirname(dir), { recursive: true, mode: 0o755 });
    const probe = await mkdtemp(`${dir}.check-`);
    await rm(probe, { recursive: true, force: true });
  } catch (error) {
    throw translate(error, dir);
  }
}

async function isEmptyOrAbsent(dir: string): Promise<boolean> {
  try {
    return (await readdir(dir)).length === 0;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return true;
    throw error;
  }
}

/** False if the directory cannot be replaced because something is mounted there. */
async function writeBeside(dir: string, files: readonly StateFile[]): Promise<boolean> {
  const fresh = await mkdtemp(join(dirname(dir), `.${basename(dir)}.new-`));
  try {
    for (const file of files) await writeFileDurably(join(fresh, file.name), file);
    await rename(fresh, dir);
    return true;
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (['EBUSY', 'EXDEV'].includes(systemCode(error) ?? '')) return false;
    throw error;
  }
}

async function writeInto(dir: string, files: readonly StateFile[]): Promise<void> {
  await chmod(dir, 0o700);
  const written: string[] = [];
  try {
    for (const file of files) {
      const path = join(dir, file.name);
      const fresh = `${path}.${randomBytes(6).toString('hex')}`;
      written.push(fresh);
      await writeFileDurably(fresh, file);
      await rename(fresh, path);
      written.push(path);
    }
  } catch (error) {
    await Promise.all(written.map((path) => rm(path, { force: true })));
    throw error;
  }
}

async function writeFileDurably(path: string, { content }: StateFile): Promise<void> {
  const text = typeof content === 'string' ? content : content.reveal();
  await writeFile(path, text, { mode: 0o600, flag: 'wx', flush: true });
}

function translate(error: unknown, dir: string): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  const causes: Readonly<Record<string, string>> = {
    EACCES: 'no permission; run this as root, or choose another directory',
    EPERM: 'not permitted; run this as root, or choose another directory',
    ENOSPC: 'the disk is full',
    EROFS: 'the file system is read-only; choose another directory',
    ENOTDIR: 'a part of the path is not a directory',
    EEXIST: 'a part of the path is not a directory',
  };
  return new ProgramError(`cannot write ${dir}: ${causes[code] ?? code}`);
}
