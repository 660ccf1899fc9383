import { stat } from 'node:fs/promises';
import { ProgramError, systemCode } from '#proto/kit/errors.ts';

/** What another user (root among them) made in the state dir, the registry's own user could not use. */
export async function requireOwner(dir: string): Promise<void> {
  try {
    const { uid } = await stat(dir);
    if (uid === process.geteuid?.()) return;
    throw new ProgramError(
      `${dir} belongs to another user (${String(uid)}): run this as that user, with runuser or sudo -u`,
    );
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}
