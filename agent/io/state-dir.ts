// A node's state dir: read and checked as a whole, before the agent changes anything on its host.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type AgentConfig, parseAgentConfig } from '#proto/codec/agent-config.ts';
import { errorText, systemCode } from '#proto/kit/errors.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import { Secret } from '#proto/kit/secret.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { checkIdentity, identityFiles } from './identity.ts';

export interface StateDir {
  readonly dir: string;
  readonly config: AgentConfig;
  readonly identity: ClientIdentity;
}

export const configFile = 'agent.yaml';

/** Every fault comes in one message, which names the file and says what to do. */
export async function openStateDir(dir: string): Promise<Result<StateDir>> {
  const place = await checkDirectory(dir);
  if (!place.ok) return place;
  const [config, ca, certificate, key] = await Promise.all([
    readText(dir, configFile),
    readText(dir, identityFiles.ca),
    readText(dir, identityFiles.certificate),
    readPrivate(dir, identityFiles.key),
  ]);
  const faults = [config, ca, certificate, key].flatMap((file) => (file.ok ? [] : [file.fault.message]));
  if (!config.ok || !ca.ok || !certificate.ok || !key.ok) return fail('bad-state-dir', faults.join('; '));
  const parsed = parseAgentConfig(config.value);
  if (!parsed.ok) return fail('bad-config', `${join(dir, configFile)}: ${parsed.fault.message}`);
  const identity = checkIdentity({ ca: ca.value, certificate: certificate.value, key: key.value }, parsed.value);
  if (!identity.ok) return fail('bad-identity', `${dir}: ${identity.fault.message}; run \`dmwg join\` again`);
  return ok({ dir, config: parsed.value, identity: identity.value });
}

async function checkDirectory(dir: string): Promise<Result<void>> {
  try {
    const found = await stat(dir);
    if (!found.isDirectory()) return fail('bad-state-dir', `${dir} is not a directory`);
    const owner = checkOwner(dir, found.uid);
    if (!owner.ok) return owner;
    if ((found.mode & 0o022) !== 0) {
      return fail('bad-mode', `others may write to ${dir}: run \`chmod 700 ${dir}\``);
    }
    return ok(undefined);
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? missing(dir) : unreadable(dir, error);
  }
}

async function readText(dir: string, name: string): Promise<Result<string>> {
  const file = join(dir, name);
  try {
    return ok(await readFile(file, 'utf8'));
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? missing(file) : unreadable(file, error);
  }
}

async function readPrivate(dir: string, name: string): Promise<Result<Secret>> {
  const content = await readText(dir, name);
  if (!content.ok) return content;
  const mode = await checkPrivate(join(dir, name));
  return mode.ok ? ok(new Secret(content.value)) : mode;
}

/** A private key that others may read is no secret any more. Throws what `stat` throws. */
export async function checkPrivate(file: string): Promise<Result<void>> {
  const { mode, uid } = await stat(file);
  const owner = checkOwner(file, uid);
  if (!owner.ok) return owner;
  if ((mode & 0o077) === 0) return ok(undefined);
  return fail('bad-mode', `others may read ${file} (mode ${(mode & 0o777).toString(8)}): run \`chmod 600 ${file}\``);
}

/** Whoever owns a file may give it any mode again. Exported for tests, which cannot be two users. */
export function checkOwner(file: string, uid: number, own = process.geteuid?.() ?? 0): Result<void> {
  if (uid === 0 || uid === own) return ok(undefined);
  return fail('bad-owner', `${file} belongs to the user ${String(uid)}: run \`chown -R ${String(own)} ${file}\``);
}

function missing(file: string): Result<never> {
  return fail('not-joined', `${file} does not exist: run \`dmwg join\` first, or give the right --state-dir`);
}

function unreadable(file: string, error: unknown): Result<never> {
  return systemCode(error) === 'EACCES'
    ? fail('no-permission', `no permission to read ${file}: run this as root`)
    : fail('bad-state-dir', `${file} cannot be read: ${errorText(error)}`);
}
